"""Parses searches in an event's details: `errorCode:AccessDenied userIdentity.type:Root`.

    search   = term { white space term }            every term must match
    term     = path ":" value
    path     = step { "." step }
    step     = ( name | quoted ) [ "[]" ]           "[]": in any element of that list
    value    = bare | quoted
    name     = characters other than white space . : " [ ] and the backslash
    bare     = characters other than white space and "
    quoted   = '"' { character | '\\"' | '\\\\' } '"'

A bare value that is also a JSON number, true, false or null matches both as that and as text. A quoted
value is always text. A term becomes a containment (`details @> …`), so that one GIN index serves all.
"""

import json
import re
from dataclasses import dataclass
from math import isfinite

LONGEST = 1000
MOST_TERMS = 20
MOST_STEPS = 16

EXAMPLE = 'write key:value, for example errorCode:AccessDenied or userIdentity.type:"Root"'


class SearchError(ValueError):
    """An invalid search. `position`: the wrong character, counted from 1; `reason`: what would be right."""

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(f"character {position}: {reason}")
        self.position = position
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a path: a key, and whether the path continues in the elements of a list."""

    key: str
    any_element: bool = False


@dataclass(frozen=True, slots=True)
class Term:
    """A path in the details and its value. `bare`: the value was written without quotes."""

    path: tuple[Step, ...]
    value: str
    bare: bool

    def alternatives(self) -> tuple[str, ...]:
        """The JSON documents; the details must contain one of them."""
        values = [json.dumps(self.value, ensure_ascii=False)]
        if self.bare and _is_json_scalar(self.value):
            values.insert(0, self.value)
        return tuple(self._around(value) for value in values)

    def _around(self, value: str) -> str:
        for step in reversed(self.path):
            value = f"[{value}]" if step.any_element else value
            value = f"{{{json.dumps(step.key, ensure_ascii=False)}: {value}}}"
        return value


def parse(text: str) -> tuple[Term, ...]:
    """The terms of a search, at least one. Raises SearchError."""
    if len(text) > LONGEST:
        raise SearchError(LONGEST + 1, f"the search is longer than {LONGEST} characters")
    if unfit := re.search("[\0\ud800-\udfff]", text):
        raise SearchError(unfit.start() + 1, "PostgreSQL cannot store this character")
    return _SearchReader(text).terms()


def _is_json_scalar(text: str) -> bool:
    if text in {"true", "false", "null"}:
        return True
    # At most three digits of exponent, which PostgreSQL's numeric supports.
    return bool(re.fullmatch(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?", text)) and (
        isfinite(float(text))
    )


class _SearchReader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def terms(self) -> tuple[Term, ...]:
        terms: list[Term] = []
        while self._skip_space():
            if len(terms) == MOST_TERMS:
                raise self._error(f"a search has at most {MOST_TERMS} terms")
            terms.append(self._term())
            if self._next() and not self._next().isspace():
                raise self._error("a space is expected between two terms")
        if not terms:
            raise SearchError(1, f"the search is empty; {EXAMPLE}")
        return tuple(terms)

    def _term(self) -> Term:
        path = [self._step()]
        while self._took("."):
            if len(path) == MOST_STEPS:
                raise self._error(f"a path has at most {MOST_STEPS} keys")
            path.append(self._step())
        if not self._took(":"):
            raise self._error(f'":" and a value are expected after the key; {EXAMPLE}')
        if self._next() == '"':
            return Term(tuple(path), self._quoted(), bare=False)
        value = self._run(r'[^\s"]+')
        if not value:
            raise self._error('a value is expected after ":"; write the empty text as ""')
        return Term(tuple(path), value, bare=True)

    def _step(self) -> Step:
        quoted = self._next() == '"'
        key = self._quoted() if quoted else self._run(r'[^\s.:"\[\]\\]+')
        if not key and not quoted:
            raise self._error(f"a key is expected; {EXAMPLE}")
        if self._took("["):
            if not self._took("]"):
                raise self._error('"]" is expected: key[] means any element of a list')
            return Step(key, any_element=True)
        return Step(key)

    def _quoted(self) -> str:
        opened = self._at
        self._at += 1
        parts: list[str] = []
        while not self._took('"'):
            if not self._next():
                raise SearchError(opened + 1, "unterminated quoted string")
            if self._took("\\") and self._next() not in {'"', "\\"}:
                raise self._error('" or a backslash is expected after a backslash')
            parts.append(self._next())
            self._at += 1
        return "".join(parts)

    def _run(self, pattern: str) -> str:
        match = re.compile(pattern).match(self._text, self._at)
        self._at = match.end() if match else self._at
        return match[0] if match else ""

    def _took(self, mark: str) -> bool:
        took = self._next() == mark
        self._at += took
        return took

    def _next(self) -> str:
        """The next character, "" at the end."""
        return self._text[self._at : self._at + 1]

    def _skip_space(self) -> bool:
        """Skips white space; returns whether text follows."""
        self._run(r"\s+")
        return bool(self._next())

    def _error(self, reason: str) -> SearchError:
        return SearchError(self._at + 1, reason)

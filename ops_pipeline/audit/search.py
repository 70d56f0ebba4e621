"""The search in an event's details: `errorCode:AccessDenied userIdentity.type:Root`.

    search   = term { white space term }            every term has to match
    term     = path ":" value
    path     = step { "." step }
    step     = ( name | quoted ) [ "[]" ]           "[]": in any element of the list there
    value    = bare | quoted
    name     = characters other than white space . : " [ ] and the backslash
    bare     = characters other than white space and "
    quoted   = '"' { character | '\\"' | '\\\\' } '"'

A bare value that is also a JSON number, true, false or null matches as that and as the text. A quoted one
is always text. A term is compiled to containment (`details @> …`), so that one GIN index serves all.
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
    """A search that cannot be read: the `position` of the character that is wrong, from 1 on, and the
    `reason`, which says what would be right."""

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(f"character {position}: {reason}")
        self.position = position
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Step:
    """One step into the details: a key, and whether the way goes on in the elements of a list."""

    key: str
    any_element: bool = False


@dataclass(frozen=True, slots=True)
class Term:
    """A place in the details and what is to be there. `bare`: the value was written without quotes."""

    path: tuple[Step, ...]
    value: str
    bare: bool

    def alternatives(self) -> tuple[str, ...]:
        """The JSON documents of which the details must contain one."""
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
        raise SearchError(unfit.start() + 1, "PostgreSQL keeps no such character, so none can be found")
    return _SearchReader(text).terms()


def _is_json_scalar(text: str) -> bool:
    if text in {"true", "false", "null"}:
        return True
    # Short enough for PostgreSQL's numeric, whatever the exponent.
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
                raise self._error(f"at most {MOST_TERMS} terms are searched for at once")
            terms.append(self._term())
            if self._next() and not self._next().isspace():
                raise self._error("a space is needed between two terms")
        if not terms:
            raise SearchError(1, f"nothing is searched for; {EXAMPLE}")
        return tuple(terms)

    def _term(self) -> Term:
        path = [self._step()]
        while self._took("."):
            if len(path) == MOST_STEPS:
                raise self._error(f"a path has at most {MOST_STEPS} keys")
            path.append(self._step())
        if not self._took(":"):
            raise self._error(f'":" and a value are needed after the key; {EXAMPLE}')
        if self._next() == '"':
            return Term(tuple(path), self._quoted(), bare=False)
        value = self._run(r'[^\s"]+')
        if not value:
            raise self._error('a value is needed after ":"; the empty text is written ""')
        return Term(tuple(path), value, bare=True)

    def _step(self) -> Step:
        quoted = self._next() == '"'
        key = self._quoted() if quoted else self._run(r'[^\s.:"\[\]\\]+')
        if not key and not quoted:
            raise self._error(f"a key is needed here; {EXAMPLE}")
        if self._took("["):
            if not self._took("]"):
                raise self._error('"]" is needed: key[] stands for any element of a list')
            return Step(key, any_element=True)
        return Step(key)

    def _quoted(self) -> str:
        opened = self._at
        self._at += 1
        parts: list[str] = []
        while not self._took('"'):
            if not self._next():
                raise SearchError(opened + 1, "this quotation mark is never closed")
            if self._took("\\") and self._next() not in {'"', "\\"}:
                raise self._error('after a backslash only " or another backslash may stand')
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
        """Whether there is more after the white space."""
        self._run(r"\s+")
        return bool(self._next())

    def _error(self, reason: str) -> SearchError:
        return SearchError(self._at + 1, reason)

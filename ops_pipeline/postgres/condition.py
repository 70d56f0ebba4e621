"""Parses the predicate of a hold: comparisons joined by AND."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from psycopg import sql as compose

from ops_pipeline.postgres.equality import operator_sign

EXAMPLE = "tenant_id = 7 AND created_at >= 2026-01-01"


class PredicateError(Exception):
    """The predicate is invalid; the message points at the character and says what would be right."""

    def __init__(self, text: str, at: int, problem: str) -> None:
        line = "".join(" " if character.isspace() else character for character in text)
        super().__init__(f"where: character {at + 1}: {problem}\n  {line}\n  {' ' * at}^")


@dataclass(frozen=True, slots=True)
class Condition:
    """`column` compared with `value`; a time is stored as an absolute time, independent of time zone
    settings.

    `column_at`, `operator_at`, `value_at`: their positions in the text, from 0. `equality`: the schema and
    name of the operator used for =.
    """

    column: str
    operator: str
    value: str | datetime
    column_at: int = field(default=0, compare=False)
    operator_at: int = field(default=0, compare=False)
    value_at: int = field(default=0, compare=False)
    equality: tuple[str, str] = field(default=("pg_catalog", "="), compare=False)

    def __str__(self) -> str:
        value = self.value.isoformat() if isinstance(self.value, datetime) else self.value
        quoted = "'" + value.replace("'", "''") + "'"
        return f"{_named(self.column)} {self.operator} {value if _plain(value) else quoted}"

    def over(self, alias: str) -> compose.Composed:
        """The comparison in SQL. PostgreSQL gives an untyped literal the type of the column."""
        operator = ("pg_catalog", self.operator) if self.operator != "=" else self.equality
        return compose.SQL("{} {} {}").format(
            compose.Identifier(alias, self.column), operator_sign(*operator), compose.Literal(self.value)
        )


@dataclass(frozen=True, slots=True)
class Predicate:
    """Comparisons that must all be true; a NULL satisfies none."""

    conditions: tuple[Condition, ...]

    def __str__(self) -> str:
        return " AND ".join(map(str, self.conditions))

    def over(self, alias: str) -> compose.Composed:
        """The predicate in SQL, for rows of the table with that alias."""
        return compose.SQL(" AND ").join([condition.over(alias) for condition in self.conditions])

    def comparing(self, equalities: Mapping[str, tuple[str, str]]) -> "Predicate":
        """The predicate with those operators for =, by column."""
        return Predicate(
            tuple(
                replace(condition, equality=equalities.get(condition.column, condition.equality))
                for condition in self.conditions
            )
        )

    def as_json(self) -> list[dict[str, object]]:
        """The form stored in `ops.legal_holds`."""
        return [
            {
                "column": condition.column,
                "operator": condition.operator,
                "value": condition.value.isoformat()
                if isinstance(condition.value, datetime)
                else condition.value,
                "time": isinstance(condition.value, datetime),
            }
            for condition in self.conditions
        ]


def from_json(conditions: Iterable[dict[str, Any]]) -> Predicate:
    """The predicate from the form of `as_json`. Raises ValueError for an unknown operator, which would become
    part of SQL statements."""
    return Predicate(tuple(map(_condition, conditions)))


def _condition(written: dict[str, Any]) -> Condition:
    if _OPERATOR.fullmatch(written["operator"]) is None:
        raise ValueError(f"{written['operator']!r} is not an operator of a predicate")
    value = datetime.fromisoformat(written["value"]) if written["time"] else written["value"]
    return Condition(written["column"], written["operator"], value)


def parse(text: str) -> Predicate:
    """Parses `column = value [AND column = value ...] [AND column >= time] [AND column < time]`.

    A column may be in double quotes, a value in single quotes; an unquoted value ends at the next space. It
    does not check that the columns exist and the values have their types. Raises PredicateError.
    """
    reader = _PredicateReader(text)
    conditions = [reader.condition()]
    while not reader.at_end():
        reader.conjunction()
        conditions.append(reader.condition())
    return Predicate(tuple(conditions))


_COLUMN = re.compile(r'"((?:[^"]|"")+)"|([^\W\d][\w$]*)')
_OPERATOR = re.compile(r">=|<=|=|>|<")
_VALUE = re.compile(r"'((?:[^']|'')*)'|([^\s'\"(),;=<>]+)")
_AND = re.compile(r"and(?=\s|$)", re.IGNORECASE)


class _PredicateReader:
    """Reads the text from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        if "\0" in text:
            raise PredicateError(text, text.index("\0"), "PostgreSQL cannot store the NUL character")

    def condition(self) -> Condition:
        column, column_at = self._next(_COLUMN, f"a column is expected, as in {EXAMPLE}")
        if column.upper() == "AND" and self._text[column_at] != '"':
            raise PredicateError(self._text, column_at, f"a column is expected, as in {EXAMPLE}")
        operator, operator_at = self._next(_OPERATOR, "= is expected; for a time also >=, >, <= or <")
        value, value_at = self._value(operator_at + len(operator))
        return Condition(column, operator, value, column_at, operator_at, value_at)

    def conjunction(self) -> None:
        self._next(
            _AND,
            "AND or the end is expected; put a value with spaces in single quotes, and add two holds for OR",
        )

    def at_end(self) -> bool:
        self._skip_space()
        return self._at == len(self._text)

    def _value(self, after: int) -> tuple[str, int]:
        self._skip_space()
        if self._text.startswith("'", self._at) and not _VALUE.match(self._text, self._at):
            raise PredicateError(self._text, self._at, "unterminated quoted string")
        value, at = self._next(_VALUE, "a value is expected, unquoted or in single quotes")
        bare = self._text[at] != "'"
        if bare and value.upper() == "AND":
            raise PredicateError(self._text, min(after, at), "a value is expected before AND")
        if bare and value.upper() == "NULL":
            raise PredicateError(self._text, at, "nothing equals NULL; use another column")
        return value, at

    def _next(self, pattern: re.Pattern[str], needed: str) -> tuple[str, int]:
        self._skip_space()
        at, match = self._at, pattern.match(self._text, self._at)
        if match is None:
            raise PredicateError(self._text, at, needed)
        self._at = match.end()
        quote = match[0][0]
        if quote in "'\"":
            return match[0][1:-1].replace(quote * 2, quote), at
        return match[0], at

    def _skip_space(self) -> None:
        while self._at < len(self._text) and self._text[self._at].isspace():
            self._at += 1


def _named(column: str) -> str:
    match = _COLUMN.fullmatch(column)
    plain = match is not None and match[2] is not None and column.upper() != "AND"
    return column if plain else '"' + column.replace('"', '""') + '"'


def _plain(value: str) -> bool:
    match = _VALUE.fullmatch(value)
    return match is not None and match[2] is not None and value.upper() not in {"AND", "NULL"}

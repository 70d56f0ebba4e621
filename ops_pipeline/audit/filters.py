"""The filters of an audit query, and the SQL statements built from them."""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, LiteralString
from uuid import UUID

from psycopg import sql as compose

import sql
from ops_pipeline.audit import search
from ops_pipeline.audit.cursor import Position

TEXT_COLUMNS = ("event_type", "resource_type", "action", "details", "created_by")
EQUAL = ("event_type", "user_id", "resource_type", "resource_id", "action", "status", "ip", "actor")


@dataclass(frozen=True, slots=True)
class Filters:
    """Selects events that match all given filters, newest first.

    `ip` is an address or a network ("192.0.2.0/24"); `actor` is compared with created_by; `q` searches
    the details (see `search`). Both dates are inclusive and have a time zone. `after` continues after an
    event of an earlier page, which is fast at any depth; `offset` is the number of events to skip.
    """

    event_type: str | None = None
    user_id: UUID | None = None
    resource_type: str | None = None
    resource_id: UUID | None = None
    action: str | None = None
    status: str | None = None
    ip: str | None = None
    actor: str | None = None
    q: str | None = None
    start_date: datetime | None = None
    end_date: datetime | None = None
    limit: int = 100
    offset: int = 0
    after: Position | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """A statement that selects events, with its values.

    `keep_plan`: whether its plan is good for other values too, so that it should be prepared. `wide`: whether
    it may open every partition.
    """

    statement: LiteralString
    values: dict[str, Any]
    keep_plan: bool = False
    wide: bool = False


def question(name: str, filters: Filters, *, line: str = "", **columns: tuple[str, ...]) -> Question:
    """The statement `audit/<name>` with its {condition} built from these filters. There are only clauses for
    given filters, so that the planner can use an index.

    `line`: the file of `audit/lines` for its {line}; `columns`: the column names for its other placeholders
    in braces. Raises SearchError.
    """
    clauses, values = _clauses(filters)
    page = (filters.limit, filters.offset)
    return Question(_statement(name, clauses, page, tuple(columns.items()), line), values)


def windowed(
    name: str,
    filters: Filters,
    first: datetime | None,
    before: datetime | None,
    *,
    wide: bool = False,
    keep_plan: bool = False,
) -> Question:
    """The statement `audit/<name>` for the events from one time on and before another. The times are literals
    in the statement, so that a generic plan has no more partitions than necessary."""
    clauses, values = _clauses(filters)
    window = [("from_day", first), ("before_day", before)]
    bounds = tuple((bound, at.isoformat()) for bound, at in window if at is not None)
    statement = _statement(name, (*clauses, *bounds), (filters.limit, filters.offset))
    return Question(statement, values, keep_plan, wide)


Clause = tuple[str, ...]
"""The name of a file in `audit/filters`; for `details` also the names of its alternatives' values, for
`from_day` and `before_day` the start of that day."""


def _clauses(filters: Filters) -> tuple[tuple[Clause, ...], dict[str, Any]]:
    values: dict[str, Any] = {
        name: value
        for name in (*EQUAL, "start_date", "end_date")
        if (value := getattr(filters, name)) is not None
    }
    clauses: list[Clause] = [(name,) for name in values]
    for term in search.parse(filters.q) if filters.q is not None else ():
        names = [f"document_{len(values) + place}" for place, _ in enumerate(term.alternatives())]
        values |= zip(names, term.alternatives(), strict=True)
        clauses.append(("details", *names))
    if filters.after is not None:
        clauses.append(("after",))
        values |= {"after_time": filters.after.created_at, "after_id": filters.after.id}
    return tuple(clauses), values


@lru_cache(maxsize=256)
def _statement(
    name: str,
    clauses: tuple[Clause, ...],
    page: tuple[int, int],
    columns: tuple[tuple[str, tuple[str, ...]], ...] = (),
    line: str = "",
) -> LiteralString:
    # Cached, because the same filters are used again and again.
    wrapped: list[compose.Composable] = [compose.SQL("({})").format(_clause(*clause)) for clause in clauses]
    condition = compose.SQL(" AND ").join(wrapped or [compose.SQL("true")])
    parts = {part: compose.SQL(", ").join(map(compose.Identifier, names)) for part, names in columns}
    if line:
        parts["line"] = _line(line)
    # Limit and offset are literals: for parameters the planner expects a tenth of all rows, which makes a
    # generic plan look expensive.
    limit, offset = map(compose.Literal, page)
    event = compose.SQL(sql.get("audit/event"))
    whole = compose.SQL(sql.get(f"audit/{name}")).format(
        condition=condition, limit=limit, offset=offset, event=event, **parts
    )
    return whole.as_string(None)


def _line(name: str) -> compose.Composed:
    text = compose.SQL(sql.get("audit/lines/csv_text"))
    texts = {column: text.format(column=compose.Identifier(column)) for column in TEXT_COLUMNS}
    return compose.SQL(sql.get(f"audit/lines/{name}")).format(**texts)


def _clause(name: str, *given: str) -> compose.Composable:
    text = compose.SQL(sql.get(f"audit/filters/{name}"))
    if name == "details":
        return compose.SQL(" OR ").join(text.format(document=compose.Placeholder(value)) for value in given)
    return text.format(*map(compose.Literal, given)) if given else text

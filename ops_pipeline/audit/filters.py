"""Which events are asked for, and the condition that makes of them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

from psycopg import sql as compose

import sql
from ops_pipeline.audit import search
from ops_pipeline.audit.cursor import Position

EQUAL = ("event_type", "user_id", "resource_type", "resource_id", "action", "status", "ip", "actor")

NEAR_DAYS = (1, 8)


@dataclass(frozen=True, slots=True)
class Filters:
    """Which events are asked for: those that match all that is given, newest first.

    `ip` is an address or a network ("192.0.2.0/24"); `actor` is compared with created_by; `q` searches
    the details (see `search`). Both dates are inclusive and have a zone. `after` goes on behind an event
    of a page before, which is quick however far behind it lies; `offset` counts events to pass over.
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
    """A statement that asks for events, and the values it names."""

    statement: compose.Composed
    values: dict[str, Any]


def question(name: str, filters: Filters, **columns: tuple[str, ...]) -> Question:
    """The statement `audit/<name>` with its {condition} made of these filters: a clause for each that is
    given and none for the others, so that none keeps the planner from an index.

    `columns` are the names that its other placeholders in braces stand for. Raises SearchError.
    """
    clauses, values = _clauses(filters)
    values |= {"limit": filters.limit, "offset": filters.offset}
    return Question(_statement(name, clauses, tuple(columns.items())), values)


def pages(filters: Filters, now: datetime) -> Iterator[Question]:
    """The statements for one page, to be asked in turn until one says that more events follow; the last
    one's answer holds in any case.

    A page nearly always lies within a day or a week. Said so, PostgreSQL plans and opens a few of the
    daily partitions and no longer all of them, which takes ten times as long as reading the page.
    """
    behind = filters.after.created_at if filters.after is not None else None
    newest = min((end for end in (filters.end_date, behind) if end is not None), default=now)
    for days in NEAR_DAYS:
        near = newest - timedelta(days=days)
        if filters.start_date is None or filters.start_date < near:
            yield question("page", replace(filters, start_date=near))
    yield question("page", filters)


Clause = tuple[str, ...]
"""The name of a file in `audit/filters`; behind `details` the values of its alternatives."""


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
    name: str, clauses: tuple[Clause, ...], columns: tuple[tuple[str, tuple[str, ...]], ...]
) -> compose.Composed:
    # The same filters come again and again, and their statement does not change.
    wrapped: list[compose.Composable] = [compose.SQL("({})").format(_clause(*clause)) for clause in clauses]
    condition = compose.SQL(" AND ").join(wrapped or [compose.SQL("true")])
    named = {each: compose.SQL(", ").join(map(compose.Identifier, names)) for each, names in columns}
    whole = compose.SQL(sql.get(f"audit/{name}")).format(condition=condition, **named)
    return compose.Composed([compose.SQL(whole.as_string(None))])


def _clause(name: str, *alternatives: str) -> compose.Composable:
    text = compose.SQL(sql.get(f"audit/filters/{name}"))
    if not alternatives:
        return text
    return compose.SQL(" OR ").join(text.format(document=compose.Placeholder(each)) for each in alternatives)

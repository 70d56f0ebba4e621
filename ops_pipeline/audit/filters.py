"""Which events are asked for, and the condition that makes of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from typing import Any, LiteralString
from uuid import UUID

from psycopg import sql as compose

import sql
from ops_pipeline.audit import search
from ops_pipeline.audit.cursor import Position

TEXT_COLUMNS = ("event_type", "resource_type", "action", "details", "created_by")
EQUAL = ("event_type", "user_id", "resource_type", "resource_id", "action", "status", "ip", "actor")

NEAR_DAYS = (1, 8)
FIRST_DAY = datetime(1, 1, 10, tzinfo=UTC)
LAST_DAY = datetime(9999, 12, 30, tzinfo=UTC)
"""Outside of these the calendar ends before the days that are near."""


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
    """A statement that asks for events, and the values it names.

    `keep_plan`: whether its plan is good for other values too, so that it pays to prepare the statement.
    """

    statement: LiteralString
    values: dict[str, Any]
    keep_plan: bool = False


def question(name: str, filters: Filters, *, line: str = "", **columns: tuple[str, ...]) -> Question:
    """The statement `audit/<name>` with its {condition} made of these filters: a clause for each that is
    given and none for the others, so that none keeps the planner from an index.

    `line` says which of `audit/lines` its {line} is, `columns` the names that its other placeholders in
    braces stand for. Raises SearchError.
    """
    clauses, values = _clauses(filters)
    page = (filters.limit, filters.offset)
    return Question(_statement(name, clauses, page, tuple(columns.items()), line), values)


def pages(filters: Filters, now: datetime) -> Iterator[Question]:
    """The statements for one page, to be asked in turn until one says that more events follow; the last
    one's answer holds in any case.

    A page nearly always lies within a day or a week. Said so, PostgreSQL plans and opens a few of the
    daily partitions and no longer all of them, which takes ten times as long as reading the page. The days
    are whole ones and stand in the statement itself, which so stays the same until midnight: prepared, it
    is planned once, for those partitions and any other values.
    """
    clauses, values = _clauses(filters)
    behind = filters.after.created_at if filters.after is not None else None
    newest = min((end for end in (filters.end_date, behind) if end is not None), default=None)
    today = datetime.combine((newest or now).astimezone(UTC), time.min, UTC)
    # How a search or a network is best found depends on which it is; and few pass over events.
    keep_plan = filters.q is None and filters.ip is None and filters.offset == 0
    for days in NEAR_DAYS if FIRST_DAY < today < LAST_DAY else ():
        first = today - timedelta(days=days)
        if filters.start_date is None or filters.start_date < first:
            near = [*clauses, ("from_day", first.isoformat())]
            if newest is not None:
                near.append(("before_day", (today + timedelta(days=1)).isoformat()))
            yield Question(
                _statement("page", tuple(near), (filters.limit, filters.offset)), values, keep_plan
            )
    yield Question(_statement("page", clauses, (filters.limit, filters.offset)), values)


Clause = tuple[str, ...]
"""The name of a file in `audit/filters`; behind `details` the values of its alternatives, behind
`from_day` and `before_day` the moment that day begins."""


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
    # The same filters come again and again, and their statement does not change.
    wrapped: list[compose.Composable] = [compose.SQL("({})").format(_clause(*clause)) for clause in clauses]
    condition = compose.SQL(" AND ").join(wrapped or [compose.SQL("true")])
    parts = {part: compose.SQL(", ").join(map(compose.Identifier, names)) for part, names in columns}
    if line:
        parts["line"] = _line(line)
    # Limit and offset stand in the statement: of values it cannot see yet the planner expects a tenth of all
    # there is, and takes a plan for any such values to be dear.
    limit, offset = map(compose.Literal, page)
    whole = compose.SQL(sql.get(f"audit/{name}")).format(
        condition=condition, limit=limit, offset=offset, **parts
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

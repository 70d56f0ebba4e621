"""The filters of an audit query, and the SQL statements built from them."""

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
"""Outside of these days, the days before or after would exceed Python's calendar."""


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

    `keep_plan`: whether its plan is good for other values too, so that it should be prepared.
    """

    statement: LiteralString
    values: dict[str, Any]
    keep_plan: bool = False


def question(name: str, filters: Filters, *, line: str = "", **columns: tuple[str, ...]) -> Question:
    """The statement `audit/<name>` with its {condition} built from these filters. There are only clauses for
    given filters, so that the planner can use an index.

    `line`: the file of `audit/lines` for its {line}; `columns`: the column names for its other placeholders
    in braces. Raises SearchError.
    """
    clauses, values = _clauses(filters)
    page = (filters.limit, filters.offset)
    return Question(_statement(name, clauses, page, tuple(columns.items()), line), values)


def pages(filters: Filters, now: datetime) -> Iterator[Question]:
    """The statements for one page. Run them in turn until one returns that more events follow; the last one's
    result is complete in any case.

    A page nearly always lies within a day or a week. With these limits, PostgreSQL plans and opens only a few
    daily partitions; planning all of them would take ten times as long as reading the page. The limits are
    whole days and literals in the statement, so it stays the same until midnight: prepared, it is planned
    once, for those partitions and any other values.
    """
    clauses, values = _clauses(filters)
    behind = filters.after.created_at if filters.after is not None else None
    newest = min((end for end in (filters.end_date, behind) if end is not None), default=None)
    today = datetime.combine((newest or now).astimezone(UTC), time.min, UTC)
    # The best plan for a search or a network depends on its value; and offsets are rare.
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

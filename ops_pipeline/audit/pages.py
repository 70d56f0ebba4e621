"""Reads a page of events from few partitions at a time, newest first."""

from collections.abc import Awaitable, Callable, Generator, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from typing import Any

import sql
from ops_pipeline.audit.cursor import Position
from ops_pipeline.audit.filters import Filters, Question, windowed

NEAR_DAYS = (1, 8)
MOST_PARTITIONS = 14
"""How many partitions a statement opens: PostgreSQL holds a lock for each of them and for each of their
indexes, of which the whole server has room for `max_locks_per_transaction` times its connections."""
MOST_BYTES = 16 * 1024 * 1024
FIRST_DAY = datetime(1, 1, 10, tzinfo=UTC)
LAST_DAY = datetime(9999, 12, 30, tzinfo=UTC)
"""Outside of these days, the days before or after would exceed Python's calendar."""

Row = tuple[Any, ...]
Steps = Generator[Question, Row, "FoundPage"]


@dataclass(frozen=True, slots=True)
class FoundPage:
    """A page as a JSON array, the number of its events, and the position of its last one, if more follow."""

    data: str
    count: int
    next: Position | None


def read(steps: Steps, row: Callable[[Question], Row]) -> FoundPage:
    """The page of `page_steps`; `row` runs a statement and returns its only row."""
    question = next(steps)
    while True:
        try:
            question = steps.send(row(question))
        except StopIteration as done:
            page: FoundPage = done.value
            return page


async def read_async(steps: Steps, row: Callable[[Question], Awaitable[Row]]) -> FoundPage:
    """`read`, asynchronously."""
    question = next(steps)
    while True:
        found = await row(question)
        try:
            question = steps.send(found)
        except StopIteration as done:
            page: FoundPage = done.value
            return page


def page_steps(filters: Filters, now: datetime) -> Steps:
    """Yields the statements for one page, takes the row of each, and returns the page.

    A page nearly always lies within a day or a week, and later statements read 14 partitions each. The first
    limits are whole days and literals in the statement, so it stays the same until midnight: prepared, it is
    planned once, for those partitions and any other values.

    With `offset`, which only a single statement can skip, and outside of Python's calendar, one statement
    reads the whole period.
    """
    parts: list[str] = []
    count = 0
    last: Position | None = None
    windows = _windows(filters, now)
    window = next(windows)
    while True:
        wanted = filters.limit - count
        # A full page: whether another event follows is all that remains to be found out.
        probe = filters if wanted and not count else replace(filters, limit=wanted or 1)
        # With another limit it is another statement, whose plan is not used again.
        keep_plan = window.keep_plan and not count
        data, found, last_time, last_id, more = yield windowed(
            "page", probe, window.first, window.before, wide=window.wide, keep_plan=keep_plan
        )
        if found and not wanted:
            return FoundPage(_joined(parts), count, last)
        if found:
            parts.append(data)
            count += found
            last = Position(last_time, last_id)
        if more or sum(map(len, parts)) >= MOST_BYTES:
            return FoundPage(_joined(parts), count, last)
        if window.partitions_before is not None:
            (starts,) = yield Question(
                sql.get("audit/partition_starts"), {"before": window.partitions_before}
            )
            windows = _older(filters, window.partitions_before, starts)
        following = next(windows, None)
        if following is None:
            return FoundPage(_joined(parts), count, None)
        window = following


@dataclass(frozen=True, slots=True)
class _Window:
    """A period that one statement reads: from a time, before a time.

    `partitions_before`: the windows after this one depend on which partitions begin before that time."""

    first: datetime | None
    before: datetime | None
    keep_plan: bool = False
    wide: bool = False
    partitions_before: datetime | None = None


def _windows(filters: Filters, now: datetime) -> Iterator[_Window]:
    behind = filters.after.created_at if filters.after is not None else None
    newest = min((end for end in (filters.end_date, behind) if end is not None), default=None)
    today = datetime.combine((newest or now).astimezone(UTC), time.min, UTC)
    if filters.offset or not FIRST_DAY < today < LAST_DAY:
        yield _Window(None, None, wide=True)
        return
    # The best plan for a search or a network depends on its value.
    keep_plan = filters.q is None and filters.ip is None
    before = today + timedelta(days=1) if newest is not None else None
    for days in NEAR_DAYS:
        first = today - timedelta(days=days)
        is_last = filters.start_date is not None and filters.start_date >= first
        furthest = first if days == NEAR_DAYS[-1] and not is_last else None
        yield _Window(first, before, keep_plan, partitions_before=furthest)
        if is_last:
            return
        before = first


def _older(filters: Filters, before: datetime, starts: list[datetime]) -> Iterator[_Window]:
    for place in range(MOST_PARTITIONS - 1, len(starts), MOST_PARTITIONS):
        first = starts[place]
        yield _Window(first, before)
        if filters.start_date is not None and filters.start_date >= first:
            return
        before = first
    yield _Window(None, before)


def _joined(parts: list[str]) -> str:
    if len(parts) == 1:
        return parts[0]
    return "[" + ",".join(part.strip()[1:-1] for part in parts) + "]"

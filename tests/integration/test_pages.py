"""A page opens few partitions at a time, whatever its period, and is complete."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from ops_pipeline.audit.cursor import Position
from ops_pipeline.audit.filters import Filters, Question
from ops_pipeline.audit.pages import MOST_PARTITIONS, FoundPage, page_steps, read
from ops_pipeline.audit.store import AuditStore
from ops_pipeline.partitions.premake import premake_days
from ops_pipeline.postgres.connection import Connection, row
from tests.named import named

DAYS = 92
OPENED = """
SELECT count(*) FILTER (WHERE relkind = 'r'), count(*) FROM pg_locks JOIN pg_class ON pg_class.oid = relation
WHERE pid = pg_backend_pid() AND relnamespace <> 'pg_catalog'::regnamespace
"""
ALL = "SELECT id FROM audit_logs WHERE event_type = 'made' ORDER BY created_at DESC, id DESC"


@pytest.fixture
def days(connection: Connection) -> Connection:
    """92 partitions, one of 1971, and an event on every third day; three of them without a partition."""
    today = datetime.now(UTC).date()
    premake_days(connection, named(connection, "public.audit_logs"), today - timedelta(days=DAYS - 1), today)
    premake_days(connection, named(connection, "public.audit_logs"), date(1971, 1, 1), date(1971, 1, 1))
    connection.execute(
        "INSERT INTO audit_logs (event_type, created_at)"
        " SELECT 'made', now() - make_interval(days => 3 * number) FROM generate_series(0, 30) number"
    )
    connection.execute(
        "INSERT INTO audit_logs (event_type, created_at)"
        " VALUES ('made', '1970-06-01'), ('made', '1971-01-01T12:00Z'), ('made', '1999-01-01'),"
        " ('made', '2001-01-01')"
    )
    connection.execute("ANALYZE audit_logs")
    return connection


def pages_of(connection: Connection, filters: Filters, opened: list[tuple[int, int]]) -> list[FoundPage]:
    """Each page in turn; adds the tables and locks of each statement."""

    def answer(asked: Question) -> tuple[Any, ...]:
        with connection.transaction():
            found = row(connection, asked.statement, asked.values)
            opened.append(row(connection, OPENED))
        return found

    found = [read(page_steps(filters, datetime.now(UTC)), answer)]
    while found[-1].next is not None:
        after = replace(filters, after=found[-1].next)
        found.append(read(page_steps(after, datetime.now(UTC)), answer))
    return found


def test_a_read_without_dates_opens_few_partitions_at_a_time(days: Connection) -> None:
    opened: list[tuple[int, int]] = []

    (found,) = pages_of(days, Filters(action="nowhere"), opened)

    assert (found.data, found.count) == ("[]", 0)
    tables, locks = map(max, zip(*opened, strict=True))
    assert tables <= MOST_PARTITIONS + 1, "and the default partition"
    assert locks < 15 * (MOST_PARTITIONS + 3)
    assert len(opened) < 2 + 1 + DAYS / MOST_PARTITIONS + 2


@pytest.mark.parametrize("limit", [1, 4, 7, 31, 35, 36])
def test_pages_over_many_windows_have_every_event_once_in_order(days: Connection, limit: int) -> None:
    wanted = [event_id for (event_id,) in days.execute(ALL)]

    found = pages_of(days, Filters(event_type="made", limit=limit), [])

    events = [event.id for each in found for event in _events(days, limit, each, found)]
    assert events == wanted
    assert {each.count for each in found[:-1]} <= {limit}
    assert found[-1].count > 0, "a page says whether another event follows"


def _events(connection: Connection, limit: int, page: FoundPage, pages: list[FoundPage]) -> Any:
    # The library reads the same page.
    place = pages.index(page)
    after: Position | None = pages[place - 1].next if place else None
    events = AuditStore(connection).query_logs(Filters(event_type="made", limit=limit, after=after))
    assert page.data.count('"event_type"') == len(events) == page.count
    return events


@pytest.mark.parametrize("days_back", [0, 1, 5, 9, 30, 60, 400])
def test_a_start_date_ends_the_search(days: Connection, days_back: int) -> None:
    start = datetime.now(UTC) - timedelta(days=days_back, minutes=1)
    opened: list[tuple[int, int]] = []

    (found,) = pages_of(days, Filters(event_type="made", start_date=start), opened)

    assert found.count == min(days_back // 3 + 1, 31)
    assert len(opened) <= 2 + (1 + min(days_back, DAYS) / MOST_PARTITIONS + 1 if days_back > 8 else 0)

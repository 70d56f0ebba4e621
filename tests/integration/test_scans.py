"""Every kind of scan meets every expired row once, in bounded ranges, whatever the rows are like."""

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql as compose

from ops_pipeline.maintenance.batches.scans import Position, Scan, ScanRange, target
from ops_pipeline.maintenance.batches.scans.block_ranges import BlockRangeScan
from ops_pipeline.maintenance.batches.scans.keyset import KeysetScan
from ops_pipeline.maintenance.batches.scans.time_slices import TimeSliceScan
from ops_pipeline.postgres import catalog
from ops_pipeline.postgres.connection import Connection
from tests.named import named

START = datetime(2026, 1, 1, tzinfo=UTC)
CUTOFF = START + timedelta(hours=10)
GOES = compose.SQL("{} < {}").format(target("at"), compose.Literal(CUTOFF))

MakeScan = Callable[[Connection], Scan]


def _blocks(connection: Connection) -> Scan:
    table = named(connection, "events")
    return BlockRangeScan(catalog.heaps(connection, table, "at"), GOES, rows=0)


def _slices(connection: Connection) -> Scan:
    return TimeSliceScan(connection, named(connection, "events"), "at", GOES)


def _keys(connection: Connection) -> Scan:
    table = named(connection, "events")
    return KeysetScan(connection, table, ("at", "id", "kind"), scanned=GOES, predicate=GOES)


SCANS = [_blocks, _slices, _keys]


def _fill(connection: Connection, hours: list[int], seed: int = 1) -> None:
    connection.execute(
        "DROP TABLE IF EXISTS events;"
        "CREATE TABLE events (id bigint, kind text, at timestamptz, filler text, PRIMARY KEY (id, kind));"
        "CREATE INDEX ON events (at)"
    )
    rows = [
        (number, f"kind'{number % 3}", START + timedelta(hours=hour)) for number, hour in enumerate(hours)
    ]
    random.Random(seed).shuffle(rows)  # noqa: S311 - an order, not a secret
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO events VALUES (%s, %s, %s, repeat('x', 500))", rows)


def _ranges(
    scan: Scan, size: int, after: Position | None = None, until: Position | None = None
) -> Iterator[ScanRange]:
    while (scan_range := scan.next_range(after, until, size)) is not None:
        yield scan_range
        after = scan_range.position


def _ids(connection: Connection, ranges: list[ScanRange]) -> list[int]:
    ids: list[int] = []
    for scan_range in ranges:
        statement = compose.SQL("SELECT id FROM {} AS target WHERE {}").format(
            scan_range.heap.identifier, scan_range.condition
        )
        ids += [number for (number,) in connection.execute(statement)]
    return ids


@pytest.mark.parametrize("make", SCANS)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(hours=st.lists(st.integers(0, 20), max_size=120), size=st.integers(1, 40), cut=st.integers(0, 10))
def test_a_scan_meets_each_expired_row_once(
    connection: Connection, make: MakeScan, hours: list[int], size: int, cut: int
) -> None:
    _fill(connection, hours)
    scan = make(connection)

    whole = list(_ranges(scan, size))

    expired = sorted(number for number, hour in enumerate(hours) if hour < 10)
    assert sorted(_ids(connection, whole)) == expired
    if whole:
        stopped = whole[min(cut, len(whole) - 1)].position
        rest = [*_ranges(scan, size, after=stopped), *_ranges(scan, size, until=stopped)]
        assert sorted(_ids(connection, rest)) == expired, "a scan that stopped goes on, then does the rest"


def test_only_a_keyset_scan_splits_rows_of_the_same_time(connection: Connection) -> None:
    _fill(connection, [3] * 50)

    assert len(list(_ranges(_slices(connection), 10))) == 1
    assert len(list(_ranges(_keys(connection), 10))) == 5


def test_time_slices_read_no_kept_row(connection: Connection) -> None:
    _fill(connection, [hour for hour in range(10) for _ in range(20)] + [15] * 3000)
    connection.execute("VACUUM ANALYZE events")
    (scan_range, *_) = _ranges(_slices(connection), 50)

    statement = compose.SQL("EXPLAIN SELECT FROM {} AS target WHERE {}").format(
        scan_range.heap.identifier, scan_range.condition
    )
    plan = "\n".join(line for (line,) in connection.execute(statement))

    assert "events_at_idx" in plan

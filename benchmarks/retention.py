"""Compares our retention with a single DELETE, COPY, and other tools."""

import os
import shutil
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql as compose

from benchmarks import compare, debian, peers, visits
from benchmarks.background_load import BackgroundLoad, p99
from benchmarks.result import Removal
from ops_pipeline.maintenance import kinds
from ops_pipeline.maintenance.kinds import carry_out
from ops_pipeline.partitions import drop
from ops_pipeline.partitions.partition import existing
from ops_pipeline.postgres import embedded
from ops_pipeline.postgres.connection import connect, scalar
from ops_pipeline.settings import Settings
from tests.named import named

EXPIRED = "at < date_trunc('day', now()) - interval '30 days'"
DAY_SIZES = (10_000, 100_000, 1_000_000)
BLOCKS = 16_384
"""How many blocks of the table each COPY (DELETE …) covers: 128 MiB."""
POLICIES = """
version: 1
databases:
  app:
    url: x
    guard: {{max_fraction: 1}}
    retention: [{{table: visits, column: at, keep: 30 days, archive: {archive}}}]
"""


@dataclass(frozen=True, slots=True)
class Took:
    """The result of a contender: rows, seconds, WAL, and the durations of the background transactions (ms).

    `working`, `working_wal`: while rows were removed; the rest is counting and checking.
    """

    rows: int
    seconds: float
    working: float
    wal: int
    working_wal: int
    bystander: float

    @property
    def rate(self) -> float:
        """Rows a second while removing."""
        return self.rows / self.working

    @property
    def whole_rate(self) -> float:
        """Rows a second of the whole run."""
        return self.rows / self.seconds


Contender = Callable[[str, Path], Removal]
"""Removes the expired rows from the database of that URL."""


class Arena:
    """Runs contenders, each on its own copy of the same table, with a background load."""

    def __init__(self, server: embedded.Server, folder: Path, rows: int) -> None:
        self._server = server
        self._folder = folder / "arena"
        self._rows = rows

    def quiet(self, order: visits.Order) -> float:
        """The p99 of the background load alone, in ms."""

        def wait(*_: object) -> Removal:
            time.sleep(8)
            return Removal(0)

        return self.run(order, wait).bystander

    def run(self, order: visits.Order, contender: Contender) -> Took:
        """The result of the contender on a new copy."""
        url = self._copy(visits.template(self._server, self._rows, order))
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        with connect(url, "bench") as connection:
            connection.execute("CHECKPOINT")
            before = scalar(connection, "SELECT pg_current_wal_insert_lsn()")
            with BackgroundLoad(self._folder, url).at_work() as took:
                began = time.perf_counter()
                done = contender(url, self._folder)
                seconds = time.perf_counter() - began
            wal = int(scalar(connection, "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), %s)", [before]))
        return Took(done.rows, seconds, done.seconds or seconds, wal, done.wal or wal, p99(took))

    def _copy(self, template: str) -> str:
        with connect(self._server.url("app"), "bench") as connection:
            connection.execute("DROP DATABASE IF EXISTS arena WITH (FORCE)")
            connection.execute(
                compose.SQL("CREATE DATABASE arena TEMPLATE {} STRATEGY FILE_COPY").format(
                    compose.Identifier(template)
                )
            )
        return self._server.url("arena")


def ours(url: str, folder: Path, *, archive: bool = False) -> Removal:
    """The run of the policy, as Dagster would do it."""
    file = folder / "policies.yaml"
    file.write_text(POLICIES.format(archive="true" if archive else "false"))
    policy = kinds.load(file).databases[0].policies[0]
    settings = Settings(archive_url=str(folder / "archive"), throttle_file=folder / "none")
    with connect(url, "ops app/retention/visits", lock_timeout="500ms") as connection:
        result = carry_out(connection, policy, settings=settings)
    if result.outcome != "done" or result.remaining:
        sys.exit(f"the run ended as {result.outcome}: {result.stopped_reason}")
    return Removal(result.removed, result.working, result.wal_bytes)


def ours_archived(url: str, folder: Path) -> Removal:
    """The same with archive. All of its time counts: archived rows are read back during the run."""
    return ours(url, folder, archive=True)


def single_delete(url: str, _: Path) -> Removal:
    """One DELETE statement."""
    with psycopg.connect(url, autocommit=True) as connection:
        return Removal(connection.execute(f"DELETE FROM visits WHERE {EXPIRED}").rowcount)  # noqa: S608 - a constant


def copy_deleted(url: str, folder: Path) -> Removal:
    """COPY (DELETE … RETURNING *) by ranges of blocks into a file that is synced once and never read back."""
    rows = 0
    with psycopg.connect(url) as connection, (folder / "deleted.copy").open("wb") as file:
        blocks = scalar(connection, "SELECT pg_relation_size('visits') / 8192")
        for first in range(0, blocks, BLOCKS):
            statement = (
                f"COPY (DELETE FROM visits WHERE ctid >= '({first},0)' AND ctid < '({first + BLOCKS},0)'"  # noqa: S608 - numbers
                f" AND {EXPIRED} RETURNING *) TO STDOUT (FORMAT binary)"
            )
            with connection.cursor() as cursor:
                with cursor.copy(statement) as copy:
                    for data in copy:
                        file.write(data)
                rows += cursor.rowcount
            file.flush()
            os.fsync(file.fileno())
            connection.commit()
    return Removal(rows)


def copy_days(url: str, folder: Path) -> Removal:
    """COPY of the same days' partitions into a synced file, without a delete."""
    rows = 0
    with psycopg.connect(url) as connection, (folder / "days.copy").open("wb") as file:
        for day in range(31, 61):
            with connection.cursor() as cursor:
                statement = f"COPY (SELECT * FROM visits_{day}) TO STDOUT (FORMAT binary)"  # noqa: S608 - a number
                with cursor.copy(statement) as copy:
                    for data in copy:
                        file.write(data)
                rows += cursor.rowcount
        file.flush()
        os.fsync(file.fileno())
    return Removal(rows)


def measure(server: embedded.Server, folder: Path, rows: int) -> list[compare.Line]:
    """Deletes, archived deletes, and dropped days, each compared with contenders that do the same."""
    arena = Arena(server, folder, rows)
    lines: list[compare.Line] = []
    for order in ("ordered", "shuffled"):
        lines += _deletes(arena, order, rows)
    return [
        *lines,
        *_archived(arena, rows),
        *_dropped(arena, rows),
        *_partman(folder, rows),
        *_one_day(server),
    ]


def _deletes(arena: Arena, order: visits.Order, rows: int) -> list[compare.Line]:
    size = f"{rows:,} rows, {order}"
    undisturbed = arena.quiet(order)
    single = arena.run(order, single_delete)
    mine = arena.run(order, ours)
    whole = f"the whole run, counted and checked: {mine.whole_rate:,.0f} rows/s"
    return [
        _rates(mine, "single DELETE", single, size, "1.0"),
        _rates(mine, "pg-batch", arena.run(order, peers.pg_batch), size, "over 1.0"),
        _compared(
            whole, mine.whole_rate, f"single DELETE: {single.whole_rate:,.0f}", single.whole_rate, size
        ),
        _wal(mine, single, size),
        _p99("Ops Pipeline", mine, undisturbed, size, "under 1.5"),
        _p99("the single DELETE", single, undisturbed, size, ""),
    ]


def _archived(arena: Arena, rows: int) -> list[compare.Line]:
    size = f"{rows:,} rows, ordered"
    mine = arena.run("ordered", ours_archived)
    lines = [
        _rates(mine, "COPY (DELETE … RETURNING *)", arena.run("ordered", copy_deleted), size, "0.8"),
        _rates(mine, "Airflow's db clean", arena.run("ordered", peers.airflow), size, "over 1.0"),
    ]
    size = f"{rows:,} rows, a partition a day"
    days = arena.run("days", ours_archived)
    partsmith = arena.run("days", peers.partsmith_archiving)
    return [
        *lines,
        _rates(days, "COPY TO of the days", arena.run("days", copy_days), size, "0.55"),
        _rates(days, "pg-partsmith, COPY before each drop", partsmith, size, "over 1.0"),
    ]


def _dropped(arena: Arena, rows: int) -> list[compare.Line]:
    mine, other = arena.run("days", ours), arena.run("days", peers.partsmith)
    what, beside_what = (
        f"30 days dropped, the whole run: {mine.seconds:.1f} s",
        f"pg-partsmith: {other.seconds:.1f} s",
    )
    return [_compared(what, mine.seconds, beside_what, other.seconds, f"30 days of {rows // 60:,} rows")]


def _partman(folder: Path, rows: int) -> list[compare.Line]:
    size = f"30 days of {rows // 60:,} rows, PostgreSQL 15"
    if not debian.has_partman():
        return [compare.Line("Ops Pipeline", "pg_partman: not installed", size, "", "")]
    with debian.running(folder / "postgres-15") as server:
        arena = Arena(server, folder, rows)
        mine, other = arena.run("partman", ours), arena.run("partman", peers.partman)
    lost = "" if mine.rows == other.rows else f" ({other.rows:,} rows, Ops Pipeline {mine.rows:,})"
    what, beside_what = (
        f"days dropped, the whole run: {mine.seconds:.1f} s",
        f"pg_partman: {other.seconds:.1f} s",
    )
    return [_compared(what, mine.seconds, beside_what + lost, other.seconds, size)]


def _one_day(server: embedded.Server) -> list[compare.Line]:
    """Measures whether the drop of a day, or concurrent inserts, take longer when the day has more rows."""
    took = {rows: [_drop_a_day(server, rows) for _ in range(3)] for rows in DAY_SIZES}
    dropped = {rows: statistics.median(seconds for seconds, _ in runs) for rows, runs in took.items()}
    waited = {rows: statistics.median(seconds for _, seconds in runs) for rows, runs in took.items()}
    return [
        line
        for rows in DAY_SIZES[1:]
        for line in (
            _days("a day of {:,} rows dropped: {:.0f} ms", dropped, rows),
            _days("the longest INSERT beside the drop of {:,} rows: {:.0f} ms", waited, rows),
        )
    ]


def _days(what: str, seconds: dict[int, float], rows: int) -> compare.Line:
    fewest = DAY_SIZES[0]
    return _compared(
        what.format(rows, seconds[rows] * 1000),
        seconds[rows],
        f"{fewest:,} rows: {seconds[fewest] * 1000:.0f} ms",
        seconds[fewest],
        f"{rows:,} rows",
        "constant",
    )


def _drop_a_day(server: embedded.Server, rows: int) -> tuple[float, float]:
    """Seconds of the drop, and of the slowest concurrent insert."""
    with connect(server.url("app"), "bench") as connection:
        connection.execute("DROP DATABASE IF EXISTS arena WITH (FORCE)")
        connection.execute("CREATE DATABASE arena")
    url = server.url("arena")
    visits.fill(url, 600, "days")
    with connect(url, "bench") as connection:
        more = "INSERT INTO visits SELECT n, user_id, at, page FROM (SELECT * FROM visits_40 LIMIT 1) AS one,"
        connection.execute(more + " generate_series(1000, 999 + %s) AS n", [rows])
        connection.execute("CHECKPOINT")
        table = named(connection, "visits")
        (day,) = [
            each for each in existing(connection, named(connection, "visits")) if each.name == "visits_40"
        ]
        with _inserting(url) as waits:
            began = time.perf_counter()
            drop.remove(connection, table, day)
            seconds = time.perf_counter() - began
        return seconds, max(waits)


@contextmanager
def _inserting(url: str) -> Iterator[list[float]]:
    """Inserts rows one after the other until the context ends; yields the list of their durations."""
    ended = threading.Event()
    waits: list[float] = []

    def insert() -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            while not ended.is_set():
                began = time.perf_counter()
                connection.execute(
                    "INSERT INTO visits VALUES (0, gen_random_uuid(), clock_timestamp(), 'new')"
                )
                waits.append(time.perf_counter() - began)

    inserting = threading.Thread(target=insert)
    inserting.start()
    try:
        while len(waits) < 20:  # until inserts are running
            time.sleep(0.01)
        waits.clear()
        yield waits
    finally:
        ended.set()
        inserting.join()


def _wal(mine: Took, single: Took, size: str) -> compare.Line:
    one, two = mine.working_wal / mine.rows, single.working_wal / single.rows
    whole = f"WAL a row: {one:,.0f} B (the whole run: {mine.wal / mine.rows:,.0f})"
    return _compared(whole, one, f"single DELETE: {two:,.0f} B", two, size, "at most 1.0")


def _p99(whose: str, took: Took, undisturbed: float, size: str, wanted: str) -> compare.Line:
    what = f"bystander's p99 beside {whose}: {took.bystander:.1f} ms"
    return _compared(what, took.bystander, f"undisturbed: {undisturbed:.1f} ms", undisturbed, size, wanted)


def _compared(
    what: str, one: float, beside_what: str, other: float, size: str, wanted: str = ""
) -> compare.Line:
    return compare.Line(what, beside_what, size, f"{one / other:.2f}", wanted)


def _rates(mine: Took, name: str, other: Took, size: str, wanted: str) -> compare.Line:
    return compare.Line(
        f"Ops Pipeline: {mine.rate:,.0f} rows/s", f"{name}: {other.rate:,.0f}", size,
        f"{mine.rate / other.rate:.2f}", wanted,
    )  # fmt: skip

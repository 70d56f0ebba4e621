"""Compares orphan cleanup with the best single statement, and the effect of both on other transactions."""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql as compose

from benchmarks import background_load
from benchmarks.background_load import BackgroundLoad
from benchmarks.compare import Line, line
from ops_pipeline.maintenance import kinds
from ops_pipeline.maintenance.kinds import carry_out
from ops_pipeline.maintenance.orphans import mark, triggers
from ops_pipeline.maintenance.orphans.policy import Orphans
from ops_pipeline.postgres import embedded
from ops_pipeline.postgres.connection import Connection, connect, scalar
from ops_pipeline.postgres.migrations import migrate
from ops_pipeline.settings import Settings

HERE = Path(__file__).parent
WORK_MEM = mark.WORK_MEM
"""The work_mem of marking, also used for the single statement, whose hash would spill with the default."""
SINGLE_STATEMENT = (
    "DELETE FROM children WHERE parent_id IS NOT NULL"
    " AND NOT EXISTS (SELECT FROM parents WHERE parents.id = children.parent_id)"
)
NOT_IN = "DELETE FROM children WHERE parent_id IS NOT NULL AND parent_id NOT IN (SELECT id FROM parents)"
NOT_IN_SECONDS = 60
OURS, SINGLE = "orphans policy, full sweep", f"DELETE … WHERE NOT EXISTS, work_mem {WORK_MEM}"
NOT_IN_NAME, UNDISTURBED = "DELETE … WHERE … NOT IN", "undisturbed"
DELETED_PARENTS = 1_000
BYSTANDERS_A_SECOND = 100
REST_SECONDS = 20
"""A pause for cloud disks that are throttled for a while after many writes."""


def measure(server: embedded.Server, folder: Path, children: int, *, rounds: int) -> list[Line]:
    """All three comparisons, with that many children."""
    return [
        *measure_sweep(server, children, rounds),
        *measure_bystander(server, folder, children, rounds),
        *measure_record(server, children, rounds),
    ]


def measure_sweep(server: embedded.Server, children: int, rounds: int) -> list[Line]:
    """A full sweep of that many children with a tenth as many parents; one in eleven is an orphan."""
    base = _filled(server, children)
    ways: dict[str, Callable[[str], None]] = {OURS: _ours, SINGLE: _single}
    rates: dict[str, list[float]] = {name: [] for name in ways}
    left: set[int] = set()
    for _ in range(rounds):
        for name, way in ways.items():
            with _copy(server, base) as url:
                began = time.perf_counter()
                way(url)
                rates[name].append(children / (time.perf_counter() - began))
                left.add(_count(url))
    if len(left) != 1:
        sys.exit(f"the ways do not leave the same rows: {left}")
    size = f"{children:,} children, {children // 10:,} parents, {children - left.pop():,} orphans"
    with _copy(server, base) as url:
        not_in = Line(NOT_IN_NAME, "", size, _not_in(url), "")
    return [line(OURS, SINGLE, rates, "rows scanned/s", size, "0.8"), not_in]


def measure_bystander(server: embedded.Server, folder: Path, children: int, rounds: int) -> list[Line]:
    """The 99th percentile of another application's transactions: undisturbed, and during each contender."""
    base = _filled(server, children)
    script = (HERE / "background_load.sql").read_text().replace(":children", str(children))
    ways: dict[str, Callable[[str], object]] = {
        UNDISTURBED: lambda _: time.sleep(20),
        OURS: _ours,
        SINGLE: _single,
        NOT_IN_NAME: _not_in,
    }
    p99: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        for name, way in ways.items():
            if name == NOT_IN_NAME and number > 0:
                continue  # a minute each time, and no additional information
            with _copy(server, base) as url:
                os.sync()  # pending writes of the copy would slow all contenders down
                time.sleep(REST_SECONDS)
                with BackgroundLoad(folder, url, script, BYSTANDERS_A_SECOND).at_work() as took:
                    way(url)
                p99[name].append(background_load.p99(took))
    size = f"{children:,} children, {BYSTANDERS_A_SECOND} transactions a second, ms at p99"
    calm, *disturbed = ((name, statistics.median(each)) for name, each in p99.items())
    return [
        Line(
            f"background load during {name}: {ms:.2f} ms",
            f"{UNDISTURBED}: {calm[1]:.2f} ms",
            size,
            f"{ms / calm[1]:.2f} times",
            "under 1.5 times" if name == OURS else "",
        )
        for name, ms in disturbed
    ]


def measure_record(server: embedded.Server, children: int, rounds: int) -> list[Line]:
    """Deletes the children of a thousand recorded parents, in a table and in one of a tenth of its size."""
    seconds: dict[int, list[float]] = {}
    for rows in (children, children // 10):
        base = _filled(server, rows)
        with _copy(server, base) as url, connect(url, "bench") as connection:
            policy = _rule(track=True)
            triggers.install(connection, policy, by="bench")
            carry_out(connection, policy, settings=Settings())
            connection.execute("VACUUM (ANALYZE) children")
            seconds[rows] = [_tracked(connection, policy, number) for number in range(rounds)]
    many, few = (statistics.median(each) for each in seconds.values())
    return [
        Line(
            f"children of {DELETED_PARENTS:,} deleted parents, by the record: {many:.2f} s",
            f"in a tenth of the table: {few:.2f} s",
            f"{children:,} and {children // 10:,} children",
            f"{many / few:.2f} times",
            "under 1.5 times",
        )
    ]


def _tracked(connection: Connection, policy: Orphans, number: int) -> float:
    connection.execute(
        "DELETE FROM parents WHERE id IN (SELECT id FROM parents ORDER BY id OFFSET %s LIMIT %s)",
        [number * 5_000, DELETED_PARENTS],
    )
    began = time.perf_counter()
    result = carry_out(connection, policy, settings=Settings())
    took = time.perf_counter() - began
    if result.details["source"] != "record" or result.remaining or result.removed < DELETED_PARENTS:
        sys.exit(f"not by the record, or not all of it: {result}")
    return took


def _ours(url: str) -> None:
    with connect(url, "ops bench") as connection:
        result = carry_out(connection, _rule(), settings=Settings())
    if result.outcome != "done" or result.remaining or not result.removed:
        sys.exit(f"the orphans were not removed: {result}")


def _single(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"SET work_mem = '{WORK_MEM}'")
        connection.execute(SINGLE_STATEMENT)


def _not_in(url: str) -> str:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"SET statement_timeout = '{NOT_IN_SECONDS}s'")
        began = time.perf_counter()
        try:
            connection.execute(NOT_IN)
        except psycopg.errors.QueryCanceled:
            (plan,) = connection.execute(f"EXPLAIN (FORMAT JSON) {NOT_IN}").fetchone() or ({},)
            cost = plan[0]["Plan"]["Total Cost"]
            return f"not done after {NOT_IN_SECONDS} s, expected cost {cost:,.0f}"
        return f"{time.perf_counter() - began:.1f} s"


def _rule(*, track: bool = False) -> Orphans:
    text = (
        "version: 1\ndatabases: {bench: {url: x, guard: {max_fraction: 1}, orphans: [{table: children,"
        " column: parent_id, references: parents.id, grace_period: 0 seconds,"
        f" track: {str(track).lower()}}}]}}}}"
    )
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(text)
        file.flush()
        policy = kinds.load(Path(file.name)).databases[0].policies[0]
    assert isinstance(policy, Orphans)  # noqa: S101 - for mypy
    return policy


def _filled(server: embedded.Server, children: int) -> str:
    """A database with that many children; an existing one is used again."""
    name, unfinished = f"orphans_{children}", f"filling_orphans_{children}"
    with connect(server.url("app"), "bench") as connection:
        if connection.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchone() is not None:
            return name
        old, new = compose.Identifier(unfinished), compose.Identifier(name)
        connection.execute(compose.SQL("DROP DATABASE IF EXISTS {}").format(old))
        connection.execute(compose.SQL("CREATE DATABASE {}").format(old))
        migrate(server.url(unfinished))
        with connect(server.url(unfinished), "bench") as filling:
            statement = compose.SQL((HERE / "orphans.sql").read_text())
            filling.execute(statement.format(children=compose.Literal(children)))
            filling.execute("VACUUM ANALYZE")
        connection.execute(compose.SQL("ALTER DATABASE {} RENAME TO {}").format(old, new))
    return name


@contextmanager
def _copy(server: embedded.Server, base: str) -> Iterator[str]:
    """The URL of a copy of that database, which is dropped at the end."""
    copy, original = compose.Identifier(f"copy_of_{base}"), compose.Identifier(base)
    with connect(server.url("app"), "bench") as connection:
        connection.execute(compose.SQL("DROP DATABASE IF EXISTS {}").format(copy))
        connection.execute(
            compose.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(copy, original)
        )
        connection.execute("CHECKPOINT")
        yield server.url(f"copy_of_{base}")
        connection.execute(compose.SQL("DROP DATABASE {} WITH (FORCE)").format(copy))


def _count(url: str) -> int:
    with connect(url, "bench") as connection:
        return int(scalar(connection, "SELECT count(*) FROM children"))

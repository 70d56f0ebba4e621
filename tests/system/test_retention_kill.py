"""Retention and PostgreSQL killed at random: every row is in the table or in the archive, once."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pyarrow.parquet as pq
import pytest

from ops_pipeline.partitions.premake import premake_days
from ops_pipeline.postgres import embedded
from ops_pipeline.postgres.connection import connect, scalar
from ops_pipeline.postgres.migrations import migrate
from tests.named import named

WORKER = "tests.system.retention_worker"
POLICIES = """
version: 1
databases:
  app:
    url: ${OPS_DATABASE_URL}
    guard: {max_fraction: 1}
    retention: [{table: visits, column: at, keep: 10 days, archive: true}]
"""
ORDINARY = "CREATE TABLE visits (id bigint, at timestamptz, page text, PRIMARY KEY (id, at))"
PARTITIONED = """
CREATE TABLE visits (id bigint, at timestamptz, page text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE visits_default PARTITION OF visits DEFAULT;
"""
FILL = """
INSERT INTO visits
SELECT %(first)s + n, now() - interval '9 days 12 hours' - interval '1 minute' * (n %% 7200), repeat('x', 400)
FROM generate_series(0, %(rows)s - 1) AS n
"""
ROWS = 3_000

SIZES = [pytest.param(25, marks=pytest.mark.prove), 3]


@dataclass
class Visits:
    """The table, its archive, and every row that was ever inserted."""

    server_folder: Path
    folder: Path
    partitioned: bool
    put: set[int] = field(default_factory=set)
    perhaps_put: set[int] = field(default_factory=set)

    def begin(self, url: str) -> None:
        migrate(url)
        with connect(url, "test") as connection:
            connection.execute(PARTITIONED if self.partitioned else ORDINARY)
        (self.folder / "policies.yaml").write_text(POLICIES)
        self.fill(url)

    def fill(self, url: str) -> None:
        """Inserts more rows, most of them expired; creates dropped partitions again."""
        with connect(url, "test", lock_timeout="10s") as connection:
            if self.partitioned:
                today = datetime.now(UTC).date()
                premake_days(
                    connection,
                    named(connection, "visits"),
                    today - timedelta(days=16),
                    today - timedelta(days=9),
                )
            first = len(self.put) + 1
            connection.execute(FILL, {"first": first, "rows": ROWS})
        self.put |= set(range(first, first + ROWS))

    @contextmanager
    def worker(self, url: str) -> Iterator[subprocess.Popen[str]]:
        """A worker that has started its work."""
        command = [
            sys.executable,
            "-m",
            WORKER,
            url,
            str(self.folder / "policies.yaml"),
            str(self.folder / "archive"),
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            process.stdout.readline()
            yield process

    def finish(self, url: str) -> str:
        """The last output of an undisturbed worker."""
        with self.worker(url) as worker:
            said, complaint = worker.communicate(timeout=120)
        assert worker.returncode == 0, complaint
        return said

    def check(self, url: str) -> None:
        """Each row is in the table or in the archive, and in one of them only."""
        with connect(url, "test") as connection:
            live = [number for (number,) in connection.execute("SELECT id FROM visits")]
            recorded = scalar(connection, "SELECT coalesce(sum(rows), 0) FROM ops.archives")
            removed = scalar(connection, "SELECT sum(rows_removed) FROM ops.maintenance_runs")
            unpublished = scalar(connection, "SELECT count(*) FROM ops.archives WHERE stored_at IS NULL")
        archived = [
            number
            for file in (self.folder / "archive").rglob("part-*.parquet")
            for number in pq.read_table(file, columns=["id"], partitioning=None)["id"].to_pylist()
        ]
        twice = [number for number, times in Counter(live + archived).items() if times > 1]
        assert not twice, f"{len(twice)} rows are there twice, for example {twice[:3]}"
        everywhere = {*live, *archived}
        assert self.put <= everywhere, f"{len(self.put - everywhere)} rows are lost"
        assert everywhere <= self.put | self.perhaps_put
        assert len(archived) == recorded == removed
        assert unpublished == 0
        assert not list((self.folder / "archive").rglob(".part*")), "a temporary file is left"


@contextmanager
def _late_rows(url: str, visits: Visits) -> Iterator[None]:
    """A session that keeps inserting rows of past days, whatever happens to the server."""
    ended = threading.Event()

    def write() -> None:
        while not ended.is_set():
            try:
                with psycopg.connect(url, autocommit=True, connect_timeout=5) as session:
                    while not ended.wait(0.01):
                        number = 10_000_000 + len(visits.perhaps_put)
                        visits.perhaps_put.add(number)
                        session.execute(
                            "INSERT INTO visits VALUES (%s, now() - interval '12 days', 'late')", [number]
                        )
                        visits.put.add(number)
            except psycopg.OperationalError:
                ended.wait(0.1)

    writer = threading.Thread(target=write, name="late rows")
    writer.start()
    try:
        yield
    finally:
        ended.set()
        writer.join()


@pytest.mark.parametrize("kills", SIZES)
@pytest.mark.parametrize("partitioned", [True, False], ids=["partitioned", "ordinary"])
def test_a_worker_killed_at_random_loses_and_duplicates_nothing(
    tmp_path: Path, partitioned: bool, kills: int
) -> None:
    dice = random.Random(kills)  # noqa: S311 - moments, no secrets
    visits = Visits(tmp_path / "server", tmp_path, partitioned)
    with embedded.running(visits.server_folder) as server:
        url = server.url("app")
        visits.begin(url)
        with _late_rows(url, visits):
            for _ in range(kills):
                visits.fill(url)
                with visits.worker(url) as worker:
                    time.sleep(dice.uniform(0, 1.2))
                    worker.send_signal(signal.SIGKILL)
            visits.finish(url)
        assert visits.finish(url).endswith(" 0\n"), "nothing expired is left"
        visits.check(url)


@pytest.mark.parametrize("kills", SIZES)
@pytest.mark.parametrize("partitioned", [True, False], ids=["partitioned", "ordinary"])
def test_a_server_killed_at_random_loses_and_duplicates_nothing(
    tmp_path: Path, partitioned: bool, kills: int
) -> None:
    dice = random.Random(kills)  # noqa: S311 - moments, no secrets
    visits = Visits(tmp_path / "server", tmp_path, partitioned)
    with embedded.running(visits.server_folder) as server:
        visits.begin(server.url("app"))
    for _ in range(kills):
        with embedded.running(visits.server_folder) as server:
            url = server.url("app")
            visits.fill(url)
            with _late_rows(url, visits), visits.worker(url) as worker:
                time.sleep(dice.uniform(0, 1.2))
                _kill_server(visits.server_folder)
                worker.communicate(timeout=60)
    with embedded.running(visits.server_folder) as server:
        url = server.url("app")
        visits.finish(url)
        assert visits.finish(url).endswith(" 0\n"), "nothing expired is left"
        visits.check(url)


def _kill_server(folder: Path) -> None:
    """Kills all processes at once, as in a power failure, except that the kernel's memory survives."""
    postmaster = int((folder / "data" / "postmaster.pid").read_text().splitlines()[0])
    family = [postmaster, *_children(postmaster)]
    for pid in family:
        os.kill(pid, signal.SIGKILL)


def _children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in listed.split()]

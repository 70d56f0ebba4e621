"""After many runs with faults, every day is archived exactly once and no expired row remains."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow.parquet as pq
import pytest

from ops_pipeline.archive.archive import Archive
from ops_pipeline.maintenance import kinds
from ops_pipeline.maintenance.retention import run
from ops_pipeline.maintenance.retention.policy import Retention
from ops_pipeline.orchestration import retry
from ops_pipeline.orchestration.archive_partitions import key
from ops_pipeline.orchestration.definitions import build_definitions
from ops_pipeline.postgres.advisory_lock import advisory_lock
from ops_pipeline.postgres.connection import Connection, connect, scalar
from tests.integration.orchestration import clock
from tests.integration.orchestration.events import A_DAY, fill_events, today

POLICIES = """
version: 1
databases:
  app:
    url: ${OPS_DATABASE_URL}
    retention: [{table: events, column: at, keep: 5 days, partition: day, archive: true}]
    guard: {max_fraction: 1.0}
"""
# The server's clock decides what has expired. This function is found before PostgreSQL's own.
CLOCK = """
CREATE SCHEMA simulated;
CREATE TABLE simulated.shift (by interval NOT NULL);
INSERT INTO simulated.shift VALUES ('0');
CREATE FUNCTION simulated.now() RETURNS timestamptz LANGUAGE sql STABLE
  AS $$ SELECT pg_catalog.now() + by FROM simulated.shift $$;
DO $$ BEGIN
  EXECUTE format('ALTER DATABASE %I SET search_path = simulated, pg_catalog, public', current_database());
END $$;
"""
ONE_DAY = timedelta(days=1)


@contextmanager
def _archive_is_missing(folder: Path, **_: Any) -> Iterator[None]:
    archive, away = folder / "archive", folder / "away"
    archive.rename(away)
    archive.write_text("no folder")
    yield
    archive.unlink()
    away.rename(archive)


@contextmanager
def _another_session_holds_the_lock(url: str, **_: Any) -> Iterator[None]:
    with connect(url, "another session") as other, advisory_lock(other, "ops: app/retention/events"):
        yield


@contextmanager
def _the_database_is_away(patch: pytest.MonkeyPatch, **_: Any) -> Iterator[None]:
    with patch.context() as patched:
        patched.setenv("OPS_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/app")
        yield


@contextmanager
def _connections_are_lost(patch: pytest.MonkeyPatch, url: str, **_: Any) -> Iterator[None]:
    """The connection is lost whenever rows are being archived, until the step gives up."""
    write = Archive.write

    def lose(self: Archive, *given: Any) -> Any:
        with connect(url, "another session") as other:
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name LIKE 'ops app/%' AND datname = current_database()"
            )
        return write(self, *given)

    with patch.context() as patched:
        patched.setattr(Archive, "write", lose)
        yield


@contextmanager
def _killed(folder: Path, **_: Any) -> Iterator[None]:
    """Before the nightly run, a process was killed between the commit and the renaming of its files."""
    late = str(clock.by.total_seconds())
    command = [
        sys.executable,
        "-m",
        "tests.integration.orchestration.killed_run",
        str(folder / "policies.yaml"),
        late,
    ]
    path = os.fspath(Path(__file__).parents[3])
    killed = subprocess.run(command, check=False, env=os.environ | {"PYTHONPATH": path})
    assert killed.returncode == -signal.SIGKILL
    yield


FAULTS: tuple[Callable[..., Any], ...] = (
    _archive_is_missing,
    _another_session_holds_the_lock,
    _the_database_is_away,
    _connections_are_lost,
    _killed,
)


@pytest.mark.parametrize(
    ("runs", "faults"),
    [
        (9, {2: 0, 3: 1, 4: 2, 5: 3, 7: 4}),
        pytest.param(30, {3: 0, 9: 1, 10: 2, 17: 3, 24: 4}, marks=pytest.mark.prove),
    ],
)
def test_after_many_runs_each_day_is_archived_once_and_no_expired_row_remains(
    runs: int,
    faults: Mapping[int, int],
    connection: Connection,
    instance: dg.DagsterInstance,
    url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPS_DATABASE_URL", url)
    monkeypatch.setenv("OPS_ARCHIVE_URL", str(tmp_path / "archive"))
    monkeypatch.setattr(run, "datetime", datetime)  # given back at the end
    monkeypatch.setattr(retry, "FIRST_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(retry, "LONGEST_WAIT_SECONDS", 0.02)
    (tmp_path / "archive").mkdir()
    file = tmp_path / "policies.yaml"
    file.write_text(POLICIES)
    fill_events(connection, days=runs + 10)
    connection.execute(CLOCK)
    job = build_definitions(policies := kinds.load(file)).resolve_job_def("nightly_app")
    around = {"folder": tmp_path, "url": url, "patch": monkeypatch}
    succeeded: list[bool] = []

    for number in range(1, runs + 1):
        connection.execute("UPDATE simulated.shift SET by = %s", [(number - runs) * ONE_DAY])
        clock.shift((number - runs) * ONE_DAY)
        if number in faults:
            with FAULTS[faults[number]](**around):
                result = job.execute_in_process(instance=instance, raise_on_error=False)
        else:
            result = job.execute_in_process(instance=instance)
        succeeded.append(result.success)

    assert [number for number, good in enumerate(succeeded, 1) if not good] == [
        number for number, fault in faults.items() if FAULTS[fault] is not _killed
    ]
    expired = "SELECT count(*) FROM events WHERE at < clock_timestamp() - interval '5 days'"
    assert scalar(connection, expired) == 0
    archived = connection.execute("SELECT day, sum(rows)::int FROM ops.archives GROUP BY day").fetchall()
    assert dict(archived) == {today() - timedelta(days=back): A_DAY for back in _expired(connection, runs)}
    paths = [path for (path,) in connection.execute("SELECT path FROM ops.archives")]
    ids = [row for path in paths for row in pq.read_table(tmp_path / "archive" / path)["id"].to_pylist()]
    kept = [row for (row,) in connection.execute("SELECT id FROM events")]
    assert sorted(ids + kept) == list(range(A_DAY * (runs + 10))), "each row is in one place"
    (policy,) = policies.databases[0].policies
    assert isinstance(policy, Retention)
    shown = set(instance.get_materialized_partitions(key(policy)))
    assert shown == {f"{today() - timedelta(days=back)}" for back in range(6, runs + 10)}


def _expired(connection: Connection, runs: int) -> list[int]:
    """The expired days, in days ago: their events, an hour after midnight, are older than five days."""
    hours = scalar(connection, "SELECT extract(hour FROM clock_timestamp() AT TIME ZONE 'UTC')")
    first = 5 if hours >= 1 else 6
    return list(range(first, runs + 10))

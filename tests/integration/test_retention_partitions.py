"""Whole days are dropped as partitions, other rows one by one, both archived where the policy says so."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from ops_pipeline.holds import holds
from ops_pipeline.maintenance import kinds
from ops_pipeline.maintenance.result import RunResult
from ops_pipeline.policies.model import Database
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.settings import Settings
from ops_pipeline.storage import storage as storages
from ops_pipeline.storage.filesystem import Folder
from tests.small_batches import in_small_batches

TABLES = {
    "partitioned": """
        CREATE TABLE visits (id bigint GENERATED ALWAYS AS IDENTITY, at timestamptz NOT NULL, page text,
                             PRIMARY KEY (at, id)) PARTITION BY RANGE (at);
        CREATE TABLE visits_default PARTITION OF visits DEFAULT;
    """,
    "ordinary": """
        CREATE TABLE visits (id bigint GENERATED ALWAYS AS IDENTITY, at timestamptz NOT NULL, page text,
                             PRIMARY KEY (at, id));
    """,
}
DAYS = """
DO $$
DECLARE day date := (now() - interval '20 days')::date;
BEGIN
  WHILE day <= now()::date LOOP
    EXECUTE format('CREATE TABLE visits_%s PARTITION OF visits FOR VALUES FROM (%L) TO (%L)',
                   to_char(day, 'YYYYMMDD'), day, day + 1);
    day := day + 1;
  END LOOP;
END $$;
"""
ROWS = """
INSERT INTO visits (at, page)
SELECT date_trunc('day', now()) - make_interval(days => day) + make_interval(mins => n), 'page ' || n
FROM generate_series(0, 20) day, generate_series(0, 59) n
"""
SQUARE = "SELECT array_agg((id, at, page)::text ORDER BY id) FROM visits"

Carry = Callable[..., RunResult]


@pytest.fixture(params=["partitioned", "ordinary"])
def visits(request: pytest.FixtureRequest, connection: Connection) -> Connection:
    """Twenty whole days with 60 visits each, and today; ten days are kept."""
    connection.execute(TABLES[request.param])
    if request.param == "partitioned":
        connection.execute(DAYS)
    connection.execute(ROWS)
    return connection


@pytest.fixture
def carry_out(visits: Connection, read: Callable[..., Database], tmp_path: Path) -> Callable[..., RunResult]:
    """Runs the policy with these additional keys; the archive has its own folder."""

    def carry(keys: str = "", *, blocks: int | None = None, **named: Any) -> RunResult:
        policy = read(
            "version: 1\ndatabases: {app: {url: x, guard: {max_fraction: 1}, retention:"
            f" [{{table: visits, column: at, keep: 10 days{keys}}}]}}}}"
        ).policies[0]
        settings = Settings(archive_url=str(tmp_path / "archive"))
        if blocks is not None:
            policy = in_small_batches(policy, blocks=blocks)
        return kinds.carry_out(visits, policy, settings=settings, **named)

    return carry


def _archived(tmp_path: Path) -> dict[int, str]:
    """The ids in the archive's files, read without our code, and the day of each file."""
    found: dict[int, str] = {}
    for file in sorted((tmp_path / "archive").rglob("part-*.parquet")):
        for number in pq.read_table(file, columns=["id"], partitioning=None)["id"].to_pylist():
            assert number not in found, f"{number} is in two files"
            found[number] = file.parent.name
    return found


def _live(connection: Connection) -> set[int]:
    return {number for (number,) in connection.execute("SELECT id FROM visits")}


def _everything(connection: Connection) -> dict[int, str]:
    days = connection.execute("SELECT id, 'day=' || (at AT TIME ZONE 'UTC')::date FROM visits")
    return dict(days.fetchall())


def test_whole_days_are_dropped_and_the_rest_is_deleted_row_by_row(
    visits: Connection, carry_out: Carry
) -> None:
    expired = "SELECT count(*) FROM visits WHERE at < now() - interval '10 days'"
    before, due = scalar(visits, "SELECT count(*) FROM visits"), scalar(visits, expired)

    result = carry_out()

    assert (result.outcome, result.removed, result.remaining) == ("done", due, 0)
    assert scalar(visits, "SELECT count(*) FROM visits") == before - due
    oldest = scalar(visits, "SELECT min(at) FROM visits")
    partitions = visits.execute(
        "SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relispartition AND relkind = 'r'"
    ).fetchall()
    assert all("DEFAULT" in bound or f"TO ('{oldest:%Y-%m-%d} 00" < bound[bound.index("TO (") :]
               for (bound,) in partitions)  # fmt: skip


def test_the_archived_rows_are_the_removed_rows(visits: Connection, carry_out: Carry, tmp_path: Path) -> None:
    everything = _everything(visits)

    result = carry_out(", archive: true")

    assert (result.outcome, result.remaining) == ("done", 0)
    archived = _archived(tmp_path)
    assert len(archived) == result.archived == result.removed > 0
    assert archived == {number: day for number, day in everything.items() if number in archived}
    assert _live(visits) == set(everything) - set(archived)
    ((rows,),) = visits.execute("SELECT sum(rows) FROM ops.archives WHERE stored_at IS NOT NULL")
    assert rows == result.archived
    assert carry_out(", archive: true").removed == 0
    ((action,),) = visits.execute("SELECT DISTINCT action FROM audit_logs")
    assert action == "rows.archived_and_removed"


def test_a_partition_with_a_row_on_hold_keeps_that_row_only(
    visits: Connection, carry_out: Carry, tmp_path: Path
) -> None:
    held, at = visits.execute("SELECT id, at FROM visits ORDER BY at LIMIT 1 OFFSET 30").fetchone() or (0, 0)
    holds.add(visits, "visits", f"id = {held}", reason="suit", owner="legal", by="ada")

    result = carry_out(", archive: true")

    assert (result.outcome, result.remaining, result.details["on_hold"]) == ("done", 0, 1)
    expired = "SELECT id, at FROM visits WHERE at < now() - interval '10 days'"
    assert visits.execute(expired).fetchall() == [(held, at)]
    assert held not in _archived(tmp_path)


def test_an_archive_that_cannot_be_written_to_keeps_every_row(
    visits: Connection, carry_out: Carry, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = scalar(visits, SQUARE)

    def full(*_: object) -> None:
        raise storages.StorageError("no space left on device")

    monkeypatch.setattr(Folder, "write", full)
    with pytest.raises(Exception, match="no space left on device"):
        carry_out(", archive: true")

    assert scalar(visits, SQUARE) == before
    ((outcome, reason),) = visits.execute("SELECT outcome, stopped_reason FROM ops.maintenance_runs")
    assert outcome == "failed"
    assert "no space left on device" in reason
    monkeypatch.undo()
    assert carry_out(", archive: true").remaining == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], None]]:
    """An archive on a disk of 32 KiB, which can be enlarged."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f"mount -t tmpfs -o size=32k none {disk} && echo mounted && exec sleep 600"
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "mounted\n"
            (tmp_path / "archive").symlink_to(f"/proc/{holder.pid}/root{disk}")

            def make(kibibytes: int) -> None:
                larger = ["mount", "-o", f"remount,size={kibibytes}k", str(disk)]
                within = ["nsenter", f"--target={holder.pid}", "--user", "--mount", "--preserve-credentials"]
                subprocess.run([*within, *larger], check=True)

            yield make
        finally:
            holder.kill()


def test_a_disk_that_fills_up_ends_the_run_and_the_next_run_continues(
    visits: Connection,
    carry_out: Carry,
    tmp_path: Path,
    small_disk: Callable[[int], None],
) -> None:
    everything = _everything(visits)

    with pytest.raises(Exception, match="No space left on device"):
        carry_out(", archive: true", blocks=2)

    live = _live(visits)
    assert not set(_archived(tmp_path)) & live
    ((reason, removed),) = visits.execute("SELECT stopped_reason, rows_removed FROM ops.maintenance_runs")
    assert "No space left on device" in reason
    assert len(everything) - len(live) == removed > 0
    assert scalar(visits, "SELECT sum(rows) FROM ops.archives") == removed
    small_disk(4096)
    assert carry_out(", archive: true").remaining == 0
    assert set(_archived(tmp_path)) == set(everything) - _live(visits)


def test_a_run_stops_between_two_days_when_asked(visits: Connection, carry_out: Carry) -> None:
    asked = iter(range(1000))

    stopped = carry_out(stop=lambda: "asked to" if next(asked) == 1 else None)
    rest = carry_out()

    assert stopped.stopped_reason in {"asked to", "completed"}
    assert (rest.outcome, rest.remaining) == ("done", 0)

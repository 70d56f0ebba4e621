"""A column of a domain type is maintained like one of the type below it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ops_pipeline.archive.archive import Archive
from ops_pipeline.archive.restore import restore
from ops_pipeline.holds import holds
from ops_pipeline.maintenance.kinds import carry_out, plan
from ops_pipeline.maintenance.plan import DeletePlan, Method
from ops_pipeline.maintenance.retention import method
from ops_pipeline.policies.model import Database
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.settings import Settings
from ops_pipeline.storage import location

Read = Callable[[str], Database]

RETENTION = (
    "version: 1\ndatabases: {app: {url: x, retention:"
    " [{table: events, column: at, keep: 30 days, guard: {max_fraction: 1}%s}]}}"
)


@pytest.mark.parametrize("scan", ["block-range scan", "time-slice scan", "keyset scan"])
@pytest.mark.parametrize("of", ["timestamptz", "timestamp", "date", "inner_at"])
def test_a_column_of_time_may_be_of_a_domain(
    connection: Connection, read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of: str, scan: str
) -> None:
    connection.execute(
        "CREATE DOMAIN inner_at AS timestamptz CHECK (VALUE > '2000-01-01');"
        f"CREATE DOMAIN moment AS {of} NOT NULL"
    )
    connection.execute(
        "CREATE TABLE events (id int PRIMARY KEY, at moment); CREATE INDEX ON events (at);"
        "INSERT INTO events SELECT n, now() - make_interval(days => n) FROM generate_series(0, 59) AS n"
    )
    monkeypatch.setattr(method, "judge", lambda *_: Method(scan, "the test says so"))
    holds.add(connection, "events", "at < 2001-01-01", reason="x", owner="y", by="z")
    (policy,) = read(RETENTION % ", archive: true").policies
    cutoff = f"(now() - interval '30 days')::{of}"  # of a date, the start of the day
    expired = scalar(connection, f"SELECT count(*) FROM events WHERE at < {cutoff}")  # noqa: S608 - a parameter
    settings = Settings(archive_url=str(tmp_path))
    (planned,) = plan(connection, [policy], archive_url=str(tmp_path))
    assert isinstance(planned, DeletePlan), planned
    assert planned.rows.eligible == expired

    assert carry_out(connection, policy, settings=settings).removed == expired

    archive = Archive(location.storage(str(tmp_path)), connection)
    assert restore(connection, archive, "events", first=None, last=None, by="ada").rows == expired
    assert scalar(connection, "SELECT count(*) FROM events") == 60

"""What each health check examines, and its message."""

import asyncio
import os
import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from api.health.archive import PatientDisk
from api.health.check import Finding
from ops_pipeline.access import keys
from ops_pipeline.forward.position import begin
from ops_pipeline.forward.target import target_of
from ops_pipeline.maintenance import kinds
from ops_pipeline.partitions.premake import premake
from ops_pipeline.pauses import pauses
from ops_pipeline.postgres.connection import Connection, connect
from tests.eventually import eventually
from tests.integration.api.conftest import Client, Headers
from tests.integration.api.health import checked, message, serving
from tests.named import named

POLICIES = """
version: 1
databases:
  app:
    url: ${OPS_DATABASE_URL}
    retention: [{table: sessions, column: created_at, keep: 30 days}]
  other:
    url: ${OTHER_URL}
    schedule: {cron: "0 3 1 * *"}
    retention: [{table: sessions, column: created_at, keep: 30 days}]
"""


def test_a_key_that_expires_within_a_month_degrades_and_is_in_the_metrics(
    connection: Connection, url: str
) -> None:
    admin = {"Authorization": f"Bearer {keys.create(connection, 'admin', ['admin']).key}"}
    soon = keys.create(connection, "soon", ["audit:read"], datetime.now(UTC) + timedelta(days=300))
    with serving(url) as client:
        assert checked(client, admin, "keys") == ("ok", "")
        assert metric(client, "ops_keys_expiring") == 0
        assert soon.expires_at is not None
        assert metric(client, "ops_keys_next_expiry_timestamp_seconds") == soon.expires_at.timestamp()

    in_a_week = datetime.now(UTC) + timedelta(days=7)
    aged = (
        "UPDATE ops.api_keys SET expires_at = %s, created_at = now() - interval '1 year' WHERE name = 'soon'"
    )
    connection.execute(aged, [in_a_week])
    with serving(url) as client:
        status, said = checked(client, admin, "keys")
        assert status == "error"
        assert said.startswith("key soon expires at")
        assert said.endswith(f"opsctl keys rotate {soon.id}")
        assert client.get("/health/ready").status_code == 200
        full = client.get("/health/full")
        assert (full.status_code, full.json()["status"]) == (200, "degraded")
        assert metric(client, "ops_keys_expiring") == 1
        assert metric(client, "ops_keys_next_expiry_timestamp_seconds") == in_a_week.timestamp()


def test_a_target_that_is_behind_degrades_and_is_in_the_metrics(connection: Connection, url: str) -> None:
    admin = {"Authorization": f"Bearer {keys.create(connection, 'admin', ['admin']).key}"}
    with serving(url) as client:
        assert checked(client, admin, "forward") == ("not_configured", "no events are forwarded")

    begin(connection, target_of("https://siem.example.com/in", "siem"), None)
    with serving(url) as client:
        assert checked(client, admin, "forward") == ("ok", "")
        assert metric(client, 'ops_forward_behind_seconds{target="siem"}') < 3600

    connection.execute("UPDATE ops.forward_targets SET seen_at = now() - interval '2 hours'")
    with serving(url) as client:
        status, said = checked(client, admin, "forward")
        assert status == "error"
        assert said.startswith("behind: siem (2 h 0 min)")
        assert metric(client, 'ops_forward_behind_seconds{target="siem"}') >= 7200


def metric(client: Client, name: str) -> float:
    """The value of a metric, with its labels."""
    found = re.search(rf"^{re.escape(name)} (\S+)$", client.get("/metrics").text, re.MULTILINE)
    assert found is not None
    return float(found[1])


def test_each_policy_is_checked_in_its_own_database_against_its_own_schedule(
    new_database: Callable[..., str], template: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, admin: Headers, url: str,
) -> None:  # fmt: skip
    other = new_database(template)
    monkeypatch.setenv("OTHER_URL", other)
    policies = tmp_path / "policies.yaml"
    policies.write_text(POLICIES)
    record = (
        "INSERT INTO ops.maintenance_runs"
        " (policy, started_at, finished_at, outcome, stopped_reason, rows_remaining)"
        " VALUES (%s, now() - %s::interval, now() - %s::interval, %s, %s, %s)"
    )
    with connect(url, "test") as ours, connect(other, "test") as theirs:
        # Ours ran two days ago and has since been stopped; theirs, due monthly, ran at that very time.
        for session, policy in ((ours, "app/retention/sessions"), (theirs, "other/retention/sessions")):
            session.execute(record, [policy, "62 hours", "62 hours", "done", "completed", 0])
        ours.execute(record, ["app/retention/sessions", "1 min", "1 min", "failed", "too much", None])
        # A policy's name in another database's history does not count.
        ours.execute(record, ["other/retention/sessions", "1 min", "1 min", "done", "completed", 7])
        with serving(url, policies=policies) as client:
            status, told = checked(client, admin, "maintenance")
            assert status == "error"
            first, *rest = told.split("; its newest run ended as ")
            assert first.startswith("app/retention/sessions had its last complete run at ")
            assert rest[0].startswith("failed (too much)")
        for session, database in zip((ours, theirs), kinds.load(policies).databases, strict=True):
            loaded = session.execute("SELECT program, fingerprint FROM ops.loaded_policies").fetchall()
            assert loaded == [("API", database.fingerprint)]
        ours.execute(record, ["app/retention/sessions", "1 sec", "1 sec", "done", "completed", 0])
        theirs.execute(record, ["other/retention/sessions", "1 sec", "1 sec", "done", "completed", 1234])
        with serving(url, policies=policies) as client:
            assert checked(client, admin, "maintenance") == (
                "error", "other/retention/sessions: 1,234 rows remain"
            )  # fmt: skip
        monkeypatch.setenv("OTHER_URL", "postgresql://x:secret%zz@127.0.0.1:1/other")
        with serving(url, policies=policies) as client:
            status, told = checked(client, admin, "maintenance")
            assert status == "error"
            assert told.startswith(f"other: its URL is invalid; correct OTHER_URL (`url` in {policies}:")


def test_a_pause_is_an_error_and_throttled_runs_are_named(
    new_database: Callable[..., str], template: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, admin: Headers, url: str, connection: Connection,
) -> None:  # fmt: skip
    monkeypatch.setenv("OTHER_URL", new_database(template))
    policies = tmp_path / "policies.yaml"
    policies.write_text(POLICIES)
    connection.execute(
        "INSERT INTO ops.maintenance_runs (policy, throttle_reason, throttled_since)"
        " VALUES ('app/retention/sessions', 'replica_lag: 43 s', '2026-11-29 02:13:05Z')"
    )
    throttled = "app/retention/sessions has been throttled since 2026-11-29 02:13:05 UTC, replica_lag: 43 s"
    with serving(url, policies=policies) as client:
        assert checked(client, admin, "pause") == ("ok", throttled)
    pauses.pause(connection, reason="replica trouble", by="ada")
    with serving(url, policies=policies) as client:
        status, told = checked(client, admin, "pause")
        assert client.get("/health/full").json()["checks"]["pause"]["status"] == "error"
        assert client.get("/health/full").status_code == 200
    assert status == "error"
    assert told.startswith("app: paused by ada since ")
    assert told.endswith("replica trouble. To resume: opsctl resume --database app")
    pauses.resume(connection, by="ada")
    with serving(url, policies=policies) as client:
        assert checked(client, admin, "pause")[0] == "ok"


def test_an_observed_policy_is_complete_and_what_it_would_delete_is_no_backlog(
    connection: Connection, url: str, admin: Headers, tmp_path: Path
) -> None:
    policies = tmp_path / "policies.yaml"
    policies.write_text(
        POLICIES.partition("  other:")[0].replace("keep: 30 days", "keep: 30 days, mode: observe")
    )
    connection.execute(
        "INSERT INTO ops.maintenance_runs (policy, finished_at, outcome, stopped_reason, rows_remaining)"
        " VALUES ('app/retention/sessions', now(), 'observed', 'observed only', 3000)"
    )

    with serving(url, policies=policies) as client:
        assert checked(client, admin, "maintenance") == ("ok", "")


def test_a_changed_policies_file_is_read_again_and_an_invalid_one_is_reported(
    url: str, admin: Headers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.health.registry.SLOWLY", 0.1)
    policies = tmp_path / "policies.yaml"
    with serving(url, policies=policies) as client:
        assert checked(client, admin, "maintenance")[0] == "not_configured"
        database = "url: '${OPS_DATABASE_URL}', vacuum: {tables: all}"
        policies.write_text(f"version: 1\ndatabases: {{app: {{{database}}}}}")
        eventually(lambda: message(client, admin, "maintenance") == "app/vacuum has never had a complete run")
        policies.write_text("version: 1\ndatabases: {app: {url: x, vaccum: {}}}")
        os.utime(policies, (1, 1))
        eventually(lambda: "unknown key" in message(client, admin, "maintenance"))


def test_missing_partitions_for_tomorrow_are_reported_where_they_are_needed(
    url: str, admin: Headers, connection: Connection, tmp_path: Path
) -> None:
    connection.execute("CREATE TABLE visits (at timestamptz NOT NULL) PARTITION BY RANGE (at)")
    policies = tmp_path / "policies.yaml"
    by_day = "column: at, keep: 30 days, partition: day"
    policies.write_text(
        "version: 1\ndatabases: {app: {url: '${OPS_DATABASE_URL}', retention: ["
        f"{{table: visits, {by_day}}}, {{table: audit_logs, {by_day.replace(' at', ' created_at')}}}]}}}}"
    )
    with serving(url, policies=policies) as client:
        assert checked(client, admin, "partitions") == (
            "error",
            "audit_logs has no partition for tomorrow; run `opsctl migrate`; "
            "visits has no partition for tomorrow; run `opsctl run --policy app/retention/visits`",
        )
    premake(connection, named(connection, "public.audit_logs"))
    connection.execute(
        "CREATE TABLE visits_all PARTITION OF visits FOR VALUES FROM ('2020-01-01') TO ('2099-01-01')"
    )
    with serving(url, policies=policies) as client:
        assert checked(client, admin, "partitions") == ("ok", "")


def test_the_archive_check_writes_a_file_and_leaves_none(
    url: str, admin: Headers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.health.registry.SLOWLY", 0.1)
    folder = tmp_path / "archive"
    folder.mkdir()
    with serving(url, archive_url=str(folder)) as client:
        assert checked(client, admin, "archive") == ("ok", "")
        assert checked(client, admin, "archiveDisk")[0] == "ok"
    eventually(lambda: list(folder.iterdir()) == [])
    monkeypatch.setattr("ops_pipeline.storage.filesystem.os.fsync", _full)
    with serving(url, archive_url=str(folder)) as client:
        status, told = checked(client, admin, "archive")
        assert status == "error"
        assert re.match(rf"cannot write {folder}/\.probe-\w+: no space left; ", told)
    eventually(lambda: list(folder.iterdir()) == [])  # the incomplete file is removed


def test_the_archive_check_of_a_bucket_reports_what_runs_have_recorded(
    url: str, admin: Headers, connection: Connection
) -> None:
    insert = (
        "INSERT INTO ops.archives (policy, run_id, table_schema, table_name, path, temporary_path, rows,"
        " bytes, sha256, schema, created_at, stored_at)"
        " VALUES ('app/r', 1, 'public', 'visits', %s, 'x', 1, 1, repeat('0', 64), '{}',"
        " now() - interval '2 hours', %s)"
    )
    connection.execute(insert, ["stored", "2026-03-01T12:00:00Z"])
    bucket = "s3://key:hidden@bucket/prefix"
    with serving(url, archive_url=bucket) as client:
        status, told = checked(client, admin, "archive")
        assert (status, told.endswith("last archived file stored: 2026-03-01 12:00 UTC")) == ("ok", True)
        assert checked(client, admin, "archiveDisk") == ("not_configured", "the archive is in a bucket")
    connection.execute(insert, ["waiting", None])
    with serving(url, archive_url=bucket) as client:
        status, told = checked(client, admin, "archive")
        assert (status, told) == (
            "error",
            "1 archived file has waited over an hour to be stored in the bucket",
        )
        assert client.get("/health/full").json()["status"] == "degraded"


def _full(_: int) -> None:
    raise OSError(28, "no space left")


def test_a_disk_that_hangs_occupies_one_thread_and_delays_nothing_else() -> None:
    hanging, looks = threading.Event(), []

    def look() -> Finding:
        looks.append(1)
        hanging.wait(20)
        return Finding("ok", "")

    async def ask() -> Finding:
        disk = PatientDisk()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await disk.run(look)
        return await disk.run(look)

    assert asyncio.run(ask()) == Finding("error", "the previous check is still waiting for the disk")
    assert len(looks) == 1
    hanging.set()


def test_waiting_requests_are_counted_by_pool(
    url: str, admin: Headers, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(url) as client:
        monkeypatch.setattr("api.db.pool.Pool.waiting", property(lambda _: 2))
        eventually(lambda: client.get("/health/full/pool").status_code == 503)
        eventually(lambda: "message" in client.get("/health/full/pool", headers=admin).json())
        told = message(client, admin, "pool")
        assert "requests are waiting for a connection, by pool: " in told
        assert all(f"{pool} 2" in told for pool in ("keys", "reads", "writes"))
        assert client.get("/health/ready").status_code == 200, "waiting requests do not make the API unready"
        assert client.get("/health/full").json()["status"] == "degraded"

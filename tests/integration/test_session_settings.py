"""Sessions read and write values alike, whatever settings the database or role has."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import psycopg
import pytest
from litestar.testing import TestClient
from psycopg import conninfo
from psycopg import sql as compose

from api.app import create_app, observed
from api.db.pool import Pool, Role, Row
from api.health import connection as health
from ops_pipeline.access import keys
from ops_pipeline.archive.archive import Archive
from ops_pipeline.archive.arrow_session import ArrowSession
from ops_pipeline.archive.restore import restore
from ops_pipeline.archive.verify import verify
from ops_pipeline.holds import holds
from ops_pipeline.maintenance.kinds import carry_out, plan
from ops_pipeline.maintenance.orphans import triggers
from ops_pipeline.maintenance.orphans.policy import Orphans
from ops_pipeline.maintenance.plan import Unplanned
from ops_pipeline.partitions.adopt.adopt import adopt_table
from ops_pipeline.partitions.premake import premake
from ops_pipeline.policies.model import Database
from ops_pipeline.postgres.connection import connect, scalar
from ops_pipeline.postgres.migrations import migrate
from ops_pipeline.postgres.relation import TableName, find_relation
from ops_pipeline.settings import Settings
from ops_pipeline.storage import location
from tests.named import named

AWKWARD = {
    "german": {"DateStyle": "German", "IntervalStyle": "iso_8601", "TimeZone": "Asia/Kathmandu"},
    "sql": {
        "DateStyle": "SQL, DMY", "IntervalStyle": "sql_standard", "extra_float_digits": "0",
        "bytea_output": "escape", "standard_conforming_strings": "off", "array_nulls": "off",
        "client_encoding": "LATIN1",
    },
    "read only": {
        "default_transaction_read_only": "on", "default_transaction_isolation": "serializable",
        "idle_in_transaction_session_timeout": "3s", "transaction_timeout": "3s", "statement_timeout": "3s",
    },
}  # fmt: skip
NEW = {"transaction_timeout"}
"""Timeouts that PostgreSQL 15 and 16 do not have."""
PINNED = {
    "application_name": "test", "client_encoding": "UTF8", "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres", "TimeZone": "UTC", "bytea_output": "hex", "extra_float_digits": "3",
    "standard_conforming_strings": "on", "array_nulls": "on", "transform_null_equals": "off",
    "quote_all_identifiers": "off", "default_transaction_read_only": "off",
    "default_transaction_isolation": "read committed", "lock_timeout": "2s", "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0", "idle_session_timeout": "0", "transaction_timeout": "0",
    "row_security": "off", "session_replication_role": "origin",
}  # fmt: skip
SHOWN = "SELECT name, setting FROM pg_settings WHERE name = ANY (%s)"
APPLICATION = r"""
CREATE TABLE users (id uuid PRIMARY KEY DEFAULT gen_random_uuid());
CREATE TABLE places (at timestamp PRIMARY KEY);
CREATE TABLE visits (
  id int PRIMARY KEY, at timestamptz, on_day date, spent interval, share double precision, raw bytea,
  words text, place timestamp, few double precision []
);
CREATE INDEX ON visits (place);
INSERT INTO places VALUES ('2026-02-03 04:05:06'), ('2026-03-04 05:06:07');
INSERT INTO visits
SELECT n, '2026-02-03 04:05:06.789+00'::timestamptz + make_interval(hours => n), '2026-02-03',
       '1 year -2 days -03:04:05.6', 0.1::double precision + n / 3.0, '\x00ff5c27', E'back\\slash ''é''',
       CASE WHEN n % 2 = 0 THEN '2026-02-03 04:05:06' ELSE '2026-03-04 05:06:07' END::timestamp,
       ARRAY[NULL, n / 7.0]
FROM generate_series(1, 200) AS n
"""
POLICIES = """
version: 1
databases:
  app:
    url: ${OPS_DATABASE_URL}
    guard: {max_fraction: 1}
    retention: [{table: visits, column: at, keep: 30 days, archive: true}]
    orphans: [{table: visits, column: place, references: places.at, grace_period: 0 seconds, track: true}]
    vacuum: {tables: [visits]}
"""
Read = Callable[[str], Database]


def _set(url: str, settings: dict[str, str]) -> None:
    name = conninfo.conninfo_to_dict(url)["dbname"]
    with psycopg.connect(url, autocommit=True) as session:
        session.execute("SET default_transaction_read_only = off")
        there = {name for (name,) in session.execute("SELECT name FROM pg_settings")}
        for setting, value in settings.items():
            if setting in NEW and setting not in there:
                continue
            session.execute(
                compose.SQL("ALTER DATABASE {} SET {} = {}").format(
                    compose.Identifier(str(name)), compose.Identifier(setting), compose.Literal(value)
                )
            )


@pytest.fixture(params=list(AWKWARD))
def awkward(request: pytest.FixtureRequest, new_database: Callable[[], str]) -> str:
    """A migrated database with one unusual setting for its sessions."""
    url = new_database()
    _set(url, AWKWARD[request.param])
    with connect(url, "test") as session:
        session.execute(APPLICATION)
    migrate(url)
    return url


def _binary(url: str) -> bytes:
    rows = "COPY (SELECT * FROM visits ORDER BY id) TO STDOUT (FORMAT binary)"
    with connect(url, "test") as session, session.cursor().copy(rows) as copy:
        return b"".join(bytes(each) for each in copy)


def test_policies_plan_run_archive_and_restore(awkward: str, read: Read, tmp_path: Path) -> None:
    of, given = (
        read(POLICIES),
        Settings(archive_url=str(tmp_path / "archive"), throttle_file=tmp_path / "pause"),
    )
    retention, orphans, vacuum = of.policies
    assert isinstance(orphans, Orphans)
    before = _binary(awkward)
    with connect(awkward, "test") as session:
        triggers.install(session, orphans, by="ada")
        assert [each for each in plan(session, of.policies) if isinstance(each, Unplanned)] == []

        removed = carry_out(session, retention, settings=given)
        assert (removed.outcome, removed.removed, removed.archived) == ("done", 200, 200)
        archive = Archive(location.storage(str(given.archive_url)), session)
        assert verify(session, archive, by="ada").problems == ()
        february = date(2026, 2, 1), date(2026, 2, 28)
        restored = restore(session, archive, "visits", first=february[0], last=february[1], by="ada")
        assert restored.rows == 200
        assert _binary(awkward) == before

        holds.release(session, restored.hold or 0, by="ada")
        with psycopg.connect(awkward, autocommit=True) as application:  # as unusual as the database sets it
            application.execute("SET default_transaction_read_only = off")
            application.execute("DELETE FROM places WHERE at < TIMESTAMP 'epoch' + interval '20502 days'")
        done = carry_out(session, orphans, settings=given)
        assert (done.outcome, done.removed, done.remaining) == ("done", 100, 0)
        assert carry_out(session, vacuum, settings=given).outcome == "done"


def test_a_table_is_adopted(awkward: str) -> None:
    with connect(awkward, "test") as session:
        session.execute("UPDATE visits SET at = now() - make_interval(hours => id)")  # few days
        adopted = adopt_table(
            session, find_relation(session, TableName("public", "visits")), column="at", report=lambda _: None
        )

    assert adopted.rows == 200


def test_events_are_stored_queried_exported_and_tailed(awkward: str, tmp_path: Path) -> None:
    (tmp_path / "policies.yaml").write_text(POLICIES)
    with connect(awkward, "test") as session:
        premake(session, named(session, "audit_logs"))
        headers = {"Authorization": f"Bearer {keys.create(session, 'test', ['admin']).key}"}
    event = {
        "eventType": "visit", "createdAt": datetime.now(UTC).isoformat(), "ipAddress": "192.0.2.7",
        "details": {"name": "café", "path": "C:\\new", "number": 0.1},
    }  # fmt: skip
    given = Settings(database_url=awkward, policies=tmp_path / "policies.yaml")
    with TestClient(observed(create_app(given))) as client:
        assert client.post("/api/audit-logs", json=[event, event], headers=headers).status_code == 201
        found = client.get(
            "/api/admin/audit-logs", params={"eventType": "visit", "limit": 1}, headers=headers
        ).json()
        ((stored,), following) = found["data"], found["next"]
        assert stored["details"] == event["details"]
        assert datetime.fromisoformat(stored["created_at"]) == datetime.fromisoformat(str(event["createdAt"]))
        assert len(client.get(following, headers=headers).json()["data"]) == 1
        for kind in ("csv", "ndjson"):
            exported = client.get(f"/api/admin/audit-logs/export?format={kind}", headers=headers)
            assert exported.status_code == 200
            assert "café" in exported.text
        for path in ("audit-logs/summary", "maintenance/runs", "maintenance/plan"):
            assert client.get(f"/api/admin/{path}", headers=headers).status_code == 200
        planned = client.get("/api/admin/maintenance/plan", headers=headers).json()["data"]
        assert [each.get("problem") for each in planned] == [None] * 3
        checks = client.get("/health/full?verbose", headers=headers).json()["checks"]
        for name in ("database", "schema", "partitions", "transactions"):
            assert checks[name]["status"] == "ok", json.dumps(checks[name])
        assert client.get("/metrics").status_code == 200


@pytest.fixture
def every_setting(new_database: Callable[[str], str], template: str) -> str:
    """A migrated database with all of these settings."""
    url = new_database(template)
    for settings in AWKWARD.values():
        _set(url, settings)
    more = {"idle_session_timeout": "1h", "lock_timeout": "1h", "transform_null_equals": "on"}
    _set(url, more)
    return url


def _shown(rows: list[Row]) -> dict[str, str]:
    shown = {name: "2s" if setting == "2000" else setting for name, setting in rows}
    return dict.fromkeys(NEW, "0") | shown


def test_every_session_has_the_same_settings(every_setting: str) -> None:
    names = list(PINNED)
    with connect(every_setting, "test") as session:
        assert _shown(session.execute(SHOWN, [names]).fetchall()) == PINNED
        search_path = scalar(session, "SHOW search_path")
    assert search_path == '"$user", public'

    listed = ", ".join(f"'{name}'" for name in names)
    with (
        ArrowSession(every_setting, "policy", "test") as worker,
        worker.query(SHOWN.replace("%s", f"ARRAY[{listed}]")) as reader,
    ):
        rows = reader.read_all().to_pylist()
    assert _shown([(each["name"], each["setting"]) for each in rows]) == PINNED


def test_the_apis_sessions_have_the_same_settings_and_their_roles_rights(every_setting: str) -> None:
    theirs = {"row_security": "on"}

    async def shown() -> tuple[list[Row], list[Row], list[Row]]:
        values = [list(PINNED)]
        async with Pool(every_setting, lambda *_: None, Role.READER) as pool:
            pooled = await pool.rows("select", SHOWN, values)
        kept = health.HealthConnection(every_setting)
        looked = await kept.rows(SHOWN, values)
        await kept.close()
        asked = await health.ask(every_setting, SHOWN, values)
        return pooled, looked, asked

    pooled, looked, asked = asyncio.run(shown())
    assert _shown(pooled) == PINNED | theirs | {"application_name": "ops api", "statement_timeout": "10000"}
    assert _shown(looked) == _shown(asked) == PINNED | theirs | {"application_name": "ops api health"}

"""The mission's own audit log is refused, adopted, migrated, then read and written over HTTP."""

import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
import psycopg
import pytest
from litestar.testing import TestClient

from api.app import create_app, observed
from ops_pipeline import cli
from ops_pipeline.access import keys
from ops_pipeline.partitions.adopt.adopt import adopt_table
from ops_pipeline.partitions.premake import premake_days
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.postgres.migrations import SchemaTakenError, migrate
from ops_pipeline.postgres.relation import TableName, find_relation
from ops_pipeline.settings import Settings
from tests.integration.adopt.conftest import MISSION
from tests.named import named

OWN_INDEXES = """
SELECT indexname, regexp_replace(indexdef, '.* USING ', '') FROM pg_indexes
WHERE tablename = 'audit_logs' ORDER BY 1
"""


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def opsctl(
    plain_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Done]:
    """Runs `opsctl` in this process, because a new one would spend its time importing."""
    monkeypatch.setenv("OPS_DATABASE_URL", plain_url)
    monkeypatch.setattr(signal, "signal", lambda *_: None)

    def run(*words: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["opsctl", *words])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return Done(int(ended.value.code or 0), said.out, said.err)

    return run


def test_the_missions_own_audit_log_becomes_ours(
    mission: Connection, plain_url: str, connection: Connection, opsctl: Callable[..., Done]
) -> None:
    mission.execute("UPDATE audit_logs SET status = 'strange' WHERE (details->>'n')::int = 1")
    refused = opsctl("migrate")
    assert refused.returncode == 1
    assert "opsctl adopt audit_logs" in refused.stderr
    assert scalar(mission, "SELECT to_regclass('ops.api_keys')") is None
    assert "Traceback" not in refused.stderr
    oldest = scalar(mission, "SELECT min(created_at) AT TIME ZONE 'UTC' FROM audit_logs")

    adopted = opsctl("adopt", "audit_logs", "--json")
    assert adopted.returncode == 0, adopted.stderr
    answer = msgspec.json.decode(adopted.stdout)
    assert answer == {
        "table": "public.audit_logs",
        "state": "swapped",
        "rows": 3001,
        "kept": "public.audit_logs_before_adoption",
    }
    assert "rows copied" in adopted.stderr

    migrated = opsctl("migrate", "--json")
    assert migrated.returncode == 0, migrated.stderr
    assert mission.execute(OWN_INDEXES).fetchall() == connection.execute(OWN_INDEXES).fetchall()
    with pytest.raises(psycopg.errors.CheckViolation):
        mission.execute("INSERT INTO audit_logs (event_type, status) VALUES ('new', 'strange')")

    headers = {"Authorization": f"Bearer {keys.create(mission, 'test', ['admin']).key}"}
    with TestClient(observed(create_app(Settings(database_url=plain_url)))) as client:
        stored = client.post("/api/audit-logs", json={"eventType": "written"}, headers=headers)
        assert stored.status_code == 201, stored.text
        new = client.get("/api/admin/audit-logs?eventType=written", headers=headers).json()
        old = client.get(
            "/api/admin/audit-logs",
            params={"eventType": "login", "endDate": oldest.isoformat()},
            headers=headers,
        ).json()
        odd = client.get("/api/admin/audit-logs?eventType=login&limit=1", headers=headers).json()
    assert new["count"] == 1
    assert [datetime.fromisoformat(each["created_at"]) for each in old["data"]] == [oldest]
    assert odd["data"][0]["status"] == "strange"

    finished = opsctl("adopt", "audit_logs", "--finish")
    assert finished.returncode == 0, finished.stderr
    assert scalar(mission, "SELECT to_regclass('audit_logs_before_adoption')") is None
    premake_days(mission, named(mission, "audit_logs"), datetime.now(UTC).date(), datetime.now(UTC).date())


STRANGERS = {
    "CREATE TABLE audit_logs (id bigserial PRIMARY KEY, actor text, payload json, created_at timestamptz)": (
        "belongs to the application: it is an ordinary table (id bigint, actor text, payload json, "
        "created_at timestamp",
        "id is bigint and not uuid; event_type character varying is missing",
    ),
    "CREATE TABLE audit_logs (id uuid, created_at timestamptz, PRIMARY KEY (created_at, id))"
    " PARTITION BY RANGE (created_at)": (
        "belongs to the application: it is a partitioned table",
        "event_type character varying is missing",
    ),
    f"{MISSION} ALTER TABLE audit_logs ADD tenant int NOT NULL": (
        "belongs to the application: it is an ordinary table",
        "tenant is NOT NULL without a default, so that Ops Pipeline's events cannot be stored",
    ),
    f"{MISSION} ALTER TABLE audit_logs RENAME TO events; CREATE VIEW audit_logs AS TABLE events": (
        "belongs to the application: it is a view",
        "it is not a table",
    ),
}
EVERYTHING = """
SELECT n.nspname, c.relname, c.relkind::text, pg_relation_filenode(c.oid) FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname !~ '^(pg_|information_schema)'
UNION ALL SELECT nspname, '', '', 0 FROM pg_namespace ORDER BY 1, 2, 3
"""


@pytest.mark.parametrize(("made", "said"), STRANGERS.items())
def test_an_audit_logs_table_of_the_application_is_left_unchanged(
    new_database: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
    opsctl: Callable[..., Done],
    made: str,
    said: tuple[str, str],
) -> None:
    monkeypatch.setenv("OPS_DATABASE_URL", url := new_database())
    with psycopg.connect(url, autocommit=True) as application:
        application.execute(made.encode())
        before = application.execute(EVERYTHING).fetchall()
        for words in (["migrate"], ["adopt", "audit_logs"]):
            refused = opsctl(*words)

            assert refused.returncode == 1
            assert all(each in refused.stderr for each in said), refused.stderr
            assert "ALTER TABLE public.audit_logs RENAME TO application_audit_logs" in refused.stderr
            assert "opsctl adopt" not in refused.stderr
        assert application.execute(EVERYTHING).fetchall() == before


def test_an_audit_log_without_defaults_is_refused_with_the_statement_that_sets_them(
    mission: Connection, opsctl: Callable[..., Done]
) -> None:
    mission.execute("ALTER TABLE audit_logs ALTER id DROP DEFAULT, ALTER created_at DROP DEFAULT")
    before = mission.execute(EVERYTHING).fetchall()

    for command in (["adopt", "audit_logs"], ["migrate"]):
        refused = opsctl(*command)
        assert refused.returncode == 1
        statement = (
            "ALTER TABLE public.audit_logs ALTER id SET DEFAULT gen_random_uuid(), "
            "ALTER created_at SET DEFAULT CURRENT_TIMESTAMP;"
        )
        assert f"Nothing was created or changed. To set them: {statement}" in " ".join(refused.stderr.split())
        assert mission.execute(EVERYTHING).fetchall() == before
    mission.execute(statement.encode())
    assert opsctl("adopt", "audit_logs").returncode == 0


def test_an_adoption_writes_no_event_into_an_applications_own_audit_logs(plain: Connection) -> None:
    plain.execute(
        "CREATE TABLE audit_logs (event_type text, action text, details jsonb, status text, created_by text);"
        "CREATE TABLE things (id int PRIMARY KEY, at timestamptz DEFAULT now())"
    )

    adopt_table(plain, find_relation(plain, TableName("public", "things")), column="at")

    assert scalar(plain, "SELECT count(*) FROM audit_logs") == 0


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["adopt", "missing"], 1, "Run: opsctl migrate"),
        (["adopt", "audit_logs", "--column", "at"], 2, "column at does not exist"),
        (["adopt", "audit_logs", "--time-zone", "Mars"], 2, "time zone"),
        (["adopt", "audit_logs", "--finish"], 1, "no open adoption"),
        (["adopt", "audit_logs", "--finish", "--abort"], 2, "cannot be used together"),
    ],
)
def test_a_wrong_command_is_refused_with_the_reason(
    mission: Connection, opsctl: Callable[..., Done], words: list[str], code: int, said: str
) -> None:
    done = opsctl(*words)

    assert done.returncode == code, done.stderr
    assert said in " ".join(done.stderr.replace("│", " ").split())
    assert "Traceback" not in done.stderr
    assert scalar(mission, "SELECT count(*) FROM audit_logs") == 3000


def test_a_schema_ops_of_the_application_is_left_unchanged_and_reported(
    new_database: Callable[[], str],
) -> None:
    url = new_database()
    counted = "SELECT count(*) FROM pg_class WHERE relnamespace::regnamespace::text IN ('ops', 'public')"
    with psycopg.connect(url, autocommit=True) as application:
        # The application counts its migrations with the same library, in the same schema.
        application.execute(
            "CREATE SCHEMA ops; CREATE TABLE ops.holds (id int); CREATE TYPE ops.mood AS ENUM ('good');"
            "CREATE TABLE ops.migrations (name text, applied_at timestamptz);"
            "INSERT INTO ops.migrations VALUES ('0001_of_its_own', now())"
        )
        before = scalar(application, counted)

        with pytest.raises(SchemaTakenError, match=r"it has holds, type mood, .*ALTER SCHEMA ops RENAME TO"):
            migrate(url)

        assert scalar(application, counted) == before
        application.execute("DROP SCHEMA ops CASCADE; CREATE SCHEMA ops")
    assert len(migrate(url)) > 10
    assert migrate(url) == []

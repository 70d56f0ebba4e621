"""From the mission's own audit log to ours: refused, adopted, migrated, read and written over HTTP."""

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
from ops_pipeline import cli, database, keys
from ops_pipeline.database import Connection, scalar
from ops_pipeline.maintenance import partitions
from ops_pipeline.settings import Settings

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
    """The program in this process: another one would spend its time importing."""
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
    assert "Traceback" not in refused.stderr
    oldest = scalar(mission, "SELECT min(created_at) AT TIME ZONE 'UTC' FROM audit_logs")

    adopted = opsctl("adopt", "audit_logs", "--json")
    assert adopted.returncode == 0, adopted.stderr
    answer = msgspec.json.decode(adopted.stdout)
    assert answer == {
        "table": "public.audit_logs",
        "state": "swapped",
        "rows": 3001,
        "kept": '"public"."audit_logs_before_adoption"',
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
    partitions.ensure_days(mission, "audit_logs", datetime.now(UTC).date(), datetime.now(UTC).date())


def test_an_audit_log_of_another_form_is_refused_by_name(plain: Connection, plain_url: str) -> None:
    plain.execute(
        "CREATE TABLE audit_logs (id uuid, created_at timestamptz, PRIMARY KEY (created_at, id))"
        " PARTITION BY RANGE (created_at)"
    )
    with pytest.raises(
        psycopg.errors.RaiseException, match=r"has no .*event_type character varying.*nothing was"
    ):
        database.migrate(plain_url)

    assert scalar(plain, "SELECT count(*) FROM pg_inherits") == 0


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["adopt", "missing"], 2, "no such table"),
        (["adopt", "audit_logs", "--column", "at"], 2, "no column at"),
        (["adopt", "audit_logs", "--time-zone", "Mars"], 2, "no time zone"),
        (["adopt", "audit_logs", "--finish"], 1, "no adoption"),
        (["adopt", "audit_logs", "--finish", "--abort"], 2, "exclude each other"),
    ],
)
def test_a_wrong_command_is_told_so(
    mission: Connection, opsctl: Callable[..., Done], words: list[str], code: int, said: str
) -> None:
    done = opsctl(*words)

    assert done.returncode == code, done.stderr
    assert said in " ".join(done.stderr.replace("│", " ").split())
    assert "Traceback" not in done.stderr
    assert scalar(mission, "SELECT count(*) FROM audit_logs") == 3000

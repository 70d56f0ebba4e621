"""Settings put our schemas beside an application's own schema `ops` and table `audit_logs`."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from tests.api_process import free_port, serving
from tests.system.same_names import APPLICATION, OURS_MENTIONING_THEIRS, POLICIES, THEIRS

OPSCTL = Path(sys.executable).parent / "opsctl"
OWN, LOG = "Pipeline_Ops", "AuditTrail"
NAMES = {"OPS_SCHEMA": OWN, "OPS_AUDIT_LOG_SCHEMA": LOG}

STORE = """
from ops_pipeline.audit.event import AuditEvent
from ops_pipeline.audit.filters import Filters
from ops_pipeline.audit_log import AuditLogRepository
from ops_pipeline.postgres.connection import connect
import os, uuid
with connect(os.environ["OPS_DATABASE_URL"], "library") as connection:
    log = AuditLogRepository(connection)
    user = uuid.UUID("00000000-0000-4000-8000-000000000001")
    event = AuditEvent(event_type="login", user_id=user, action="library", id=uuid.uuid4())
    id = log.log(event)
    assert log.log(event) == id
    (found,) = [event for event in log.query_logs(Filters(event_type="login", limit=9)) if event.id == id]
    print(found.user_id == user, log.cleanup_old_logs(90))
"""

RUN_FIRST_POLICY = """
from pathlib import Path
from ops_pipeline.maintenance import kinds
from ops_pipeline.postgres.connection import connect
import os
(database,) = kinds.load(Path("policies.yaml")).databases
with connect(os.environ["OPS_DATABASE_URL"], "worker") as connection:
    print(kinds.carry_out(connection, database.policies[0]).outcome)
"""


class Application:
    """The application's database, and a folder in which our programs run with the two settings."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder
        self.environment = {
            "OPS_DATABASE_URL": url,
            "OPS_DAGSTER_DATABASE_URL": f"{url}_dagster",
            "OPS_ARCHIVE_URL": str(folder / "archive"),
            "DAGSTER_HOME": str(folder / "dagster"),
            **NAMES,
        }

    def run(self, *command: str, exits: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=os.environ | self.environment | environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == exits, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def opsctl(self, *arguments: str, exits: int = 0) -> dict[str, Any]:
        answered: dict[str, Any] = json.loads(self.run(str(OPSCTL), *arguments, "--json", exits=exits).stdout)
        return answered

    def ask(self, question: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url, autocommit=True) as session:
            return session.execute(question.encode()).fetchall()

    def events(self) -> set[str]:
        return {action for (action,) in self.ask('SELECT action FROM "AuditTrail".audit_logs')}


@pytest.fixture
def application(new_database: Callable[..., str], tmp_path: Path) -> Iterator[Application]:
    url = new_database()
    with psycopg.connect(url, autocommit=True) as session:
        session.execute(APPLICATION.encode())
        (tmp_path / "policies.yaml").write_text(POLICIES)
        yield Application(url, tmp_path)
        session.execute(f'DROP DATABASE IF EXISTS "{session.info.dbname}_dagster" WITH (FORCE)'.encode())


@pytest.mark.prove
def test_our_tables_exist_beside_the_applications_of_the_same_names(application: Application) -> None:
    theirs = application.ask(THEIRS)

    _migrated(application)
    _maintained(application)
    _archive_comes_back(application)
    _partitioned(application)
    _events_are_kept(application)

    assert application.ask(THEIRS) == theirs
    assert application.ask(OURS_MENTIONING_THEIRS.format(own=OWN, log=LOG)) == []


@pytest.mark.parametrize(("own", "log"), [(OWN, LOG), ("user", "Both"), ("Both", "Both")])
def test_no_object_of_ours_refers_to_the_applications_schemas(
    application: Application, own: str, log: str
) -> None:
    theirs = application.ask(THEIRS)
    application.environment |= {"OPS_SCHEMA": own, "OPS_AUDIT_LOG_SCHEMA": log}

    application.opsctl("migrate")

    assert application.ask(OURS_MENTIONING_THEIRS.format(own=own, log=log)) == []
    assert application.run(sys.executable, "-c", STORE).stdout == "True 0\n"
    assert application.ask(THEIRS) == theirs


def test_an_ambiguous_audit_logs_is_refused(tmp_path: Path) -> None:
    nowhere = Application("postgresql://nobody@127.0.0.1:1/none", tmp_path)
    (tmp_path / "policies.yaml").write_text(
        POLICIES.replace("AuditTrail.audit_logs", "audit_logs").replace("sessions.id", "audit_logs.id")
    )

    said = nowhere.run(str(OPSCTL), "plan", exits=2).stderr

    full_names = (
        "write AuditTrail.audit_logs for the audit log, or public.audit_logs for the application's table"
    )
    assert said.count(full_names) == 2, said


@pytest.mark.parametrize("variable", list(NAMES))
@pytest.mark.parametrize(
    "command",
    [
        [str(OPSCTL), "migrate"],
        [str(OPSCTL), "adopt", "audit_logs"],
        [sys.executable, "-m", "api"],
        [sys.executable, "-c", "import ops_pipeline.definitions"],
    ],
    ids=["migrate", "adopt", "api", "dagster"],
)
def test_an_invalid_schema_name_is_reported_by_its_variable(
    command: list[str], variable: str, tmp_path: Path
) -> None:
    nowhere = Application("postgresql://nobody@127.0.0.1:1/none", tmp_path)
    (tmp_path / "policies.yaml").write_text(POLICIES)

    exits = 1 if "import" in command[-1] else 2
    said = nowhere.run(*command, exits=exits, **{variable: "Our Schema"}).stderr.splitlines()

    problem = f" {variable}: 'Our Schema' cannot be the name of Ops Pipeline's schema: write ASCII letters"
    assert problem in f" {said[-1]}"
    assert len(said) == 1 or exits == 1


def _migrated(application: Application) -> None:
    refused = application.run(str(OPSCTL), "migrate", exits=1, OPS_SCHEMA="ops").stderr
    assert "OPS_SCHEMA=ops_pipeline" in refused
    refused = application.run(str(OPSCTL), "migrate", exits=1, OPS_AUDIT_LOG_SCHEMA="public").stderr
    assert "OPS_AUDIT_LOG_SCHEMA=ops_audit" in refused
    assert application.ask(f"SELECT FROM pg_namespace WHERE nspname IN ('{OWN}', '{LOG}')") == []

    (migrated,) = application.opsctl("migrate")["databases"]
    assert len(migrated["applied"]) > 10
    assert migrated["partitions_created"] > 0
    (again,) = application.opsctl("migrate")["databases"]
    assert again["applied"] == []

    moved = application.run(str(OPSCTL), "migrate", exits=1, OPS_SCHEMA="other").stderr
    assert f"set OPS_SCHEMA={OWN}" in moved
    findings = application.opsctl("doctor")["findings"]
    here = {"orphan_indexes", "archive_mount", "daemon_started"}  # of this test, not of the schema's name
    assert [each for each in findings if each["severity"] != "info" and each["id"] not in here] == []


def _maintained(application: Application) -> None:
    application.opsctl("track", "install", "app/orphans/memories.session_id")
    said = ("--reason", "case 12", "--owner", "legal")
    hold = application.opsctl("hold", "add", "--table", "sessions", "--where", "id = 50", *said)
    assert hold["rows"] == 1
    (sessions, *_) = application.opsctl("plan", exits=3)["policies"]
    assert sessions["rows"]["eligible"] == 30

    assert application.run(sys.executable, "-c", RUN_FIRST_POLICY).stdout == "needs_approval\n"
    (plan,) = application.opsctl("approve")["plans"]
    application.opsctl("approve", plan["id"])
    results = application.opsctl("run")["policies"]

    assert {each["outcome"] for each in results} == {"done"}
    assert application.ask("SELECT count(*), max(id) FROM sessions") == [(30, 50)]
    assert application.ask("SELECT count(*) FROM memories") == [(30,)]
    recorded = {"hold.added", "plan.approved", "track.installed", "rows.archived_and_removed", "rows.removed"}
    assert recorded <= application.events()


def _archive_comes_back(application: Application) -> None:
    (verified,) = application.opsctl("archive", "verify")["databases"]
    assert verified["problems"] == []
    restored = application.opsctl("archive", "restore", "--table", "sessions")
    assert restored["rows"] == 30
    assert application.ask("SELECT count(*) FROM sessions") == [(60,)]
    for hold in application.opsctl("hold", "list")["holds"]:
        application.opsctl("hold", "release", str(hold["id"]))
    assert {"archive.restored", "archive.verified", "hold.released"} <= application.events()


def _partitioned(application: Application) -> None:
    ambiguous = application.run(str(OPSCTL), "adopt", "audit_logs", exits=2).stderr
    assert f"write {LOG}.audit_logs" in " ".join(ambiguous.replace("│", " ").split())

    adopted = application.opsctl("adopt", "visits", "--time-zone", "UTC")
    assert (adopted["rows"], adopted["state"]) == (60, "swapped")
    application.opsctl("adopt", "visits", "--finish")
    assert {"table.adoption_started", "table.adoption_finished"} <= application.events()
    schemas = "SELECT DISTINCT relnamespace::regnamespace::text FROM pg_class WHERE relname ~ '^audit_logs_'"
    assert application.ask(schemas + " AND relispartition") == [(f'"{LOG}"',)]


def _events_are_kept(application: Application) -> None:
    assert application.run(sys.executable, "-c", STORE).stdout == "True 0\n"

    key = application.opsctl("keys", "create", "--name", "me", "--scope", "admin")["key"]
    port = free_port()
    known = {"Authorization": f"Bearer {key}"}
    with (
        serving(application.url, application.folder, port, **application.environment),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=known) as client,
    ):
        event = {"eventType": "login", "action": "over http", "status": "success"}
        assert client.post("/api/audit-logs", json=event).status_code == 201
        found = client.get("/api/admin/audit-logs", params={"action": "over http"}).json()
        assert [each["event_type"] for each in found["data"]] == ["login"]
        runs = client.get("/api/admin/maintenance/runs", params={"limit": "5"}).json()
        assert runs["data"]
        assert client.get("/health/ready").status_code == 200
        checks = client.get("/health/full").json()["checks"]
        assert (checks["schema"]["status"], checks["partitions"]["status"]) == ("ok", "ok")
    assert {"library", "over http", "audit.read", "key.create"} <= application.events()
    assert application.ask('SELECT count(*) FROM "Pipeline_Ops".audit_arrivals')[0][0] > 5

"""The grants of docs/providers.md are enough on a server where none of our roles is a superuser."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from litestar.testing import TestClient
from structlog.testing import capture_logs
from typer.testing import CliRunner

from api.app import create_app, observed
from ops_pipeline import cli
from ops_pipeline.access import keys
from ops_pipeline.archive.archive import Archive
from ops_pipeline.archive.verify import verify
from ops_pipeline.holds import holds
from ops_pipeline.maintenance import kinds
from ops_pipeline.maintenance.guard import approvals
from ops_pipeline.maintenance.plan import Plan
from ops_pipeline.postgres import embedded
from ops_pipeline.postgres.connection import connect, scalar
from ops_pipeline.postgres.migrations import migrate
from ops_pipeline.settings import Settings
from ops_pipeline.storage import location
from tests.integration.conftest import APPLICATION, SESSIONS

PAGE = Path(__file__).parents[2] / "docs" / "providers.md"
SERVICE = """
CREATE ROLE administrator LOGIN CREATEROLE CREATEDB PASSWORD 'x';
CREATE ROLE app_owner LOGIN PASSWORD 'x';
CREATE ROLE rds_iam;
GRANT pg_monitor, rds_iam, app_owner TO administrator WITH ADMIN OPTION;
ALTER DATABASE app OWNER TO administrator;
GRANT CREATE ON SCHEMA public TO app_owner;
"""
USERS = (
    "CREATE TABLE users (id uuid PRIMARY KEY DEFAULT gen_random_uuid()); CREATE TABLE conversations (id uuid)"
)
POLICIES = """
version: 1
databases:
  app:
    url: {url}
    retention:
    - {{table: sessions, column: created_at, keep: 30 days, archive: true, guard: {{max_rows: 10}}}}
    orphans:
    - {{table: memories, column: session_id, references: sessions.id, grace_period: 0 seconds, archive: true}}
"""


@dataclass(frozen=True)
class Service:
    """A server as a provider offers it, and the logins of the page."""

    server: embedded.Server

    def url(self, user: str) -> str:
        password = self.passwords.get(user, "x")
        return f"postgresql://{user}:{password}@127.0.0.1:{self.server.port}/app"

    @property
    def passwords(self) -> dict[str, str]:
        return dict(re.findall(r"CREATE ROLE (\w+) LOGIN PASSWORD '([^']+)'", PAGE.read_text()))


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with embedded.running(tmp_path / "server") as server:
        with psycopg.connect(server.url("app"), autocommit=True) as superuser:
            superuser.execute("DROP DATABASE dagster")  # the embedded server creates it, no provider does
            superuser.execute(SERVICE)
        service = Service(server)
        with psycopg.connect(service.url("app_owner"), autocommit=True) as owner:
            owner.execute(APPLICATION)
            owner.execute(USERS)
            owner.execute(SESSIONS, [59, 0, 100])
            owner.execute("INSERT INTO memories (session_id) SELECT id FROM sessions")
        yield service


def test_the_grants_of_the_page_are_enough(service: Service, tmp_path: Path) -> None:
    _grant(service, "administrator", "as the administrator")
    _grant(service, "app_owner", "as the owner of the tables")
    (tmp_path / "archive").mkdir()
    (tmp_path / "policies.yaml").write_text(POLICIES.format(url=service.url("ops_nightly")))
    settings = Settings(archive_url=str(tmp_path / "archive"))
    (database,) = kinds.load(tmp_path / "policies.yaml").databases

    migrate(service.url("ops_owner"))
    with connect(service.url("ops_owner"), "test") as owner:
        key = keys.create(owner, "test", ["admin"]).key
    with connect(service.url("ops_nightly"), "test") as nightly:
        planned = list(kinds.plan(nightly, database.policies, archive_url=settings.archive_url))
        assert all(isinstance(plan, Plan) and not plan.refusals for plan in planned), planned
        oldest = scalar(nightly, "SELECT id FROM sessions ORDER BY created_at LIMIT 1")
        holds.add(nightly, "sessions", f"id = {oldest}", reason="x", owner="y", by="ada")
        stopped = kinds.carry_out(nightly, database.policies[0], settings=settings)
        approvals.approve(nightly, stopped.details["plan"], "ada")
        done = [kinds.carry_out(nightly, policy, settings=settings) for policy in database.policies]
        verified = verify(nightly, Archive(location.storage(settings.archive_url), nightly), by="ada")
    assert [(result.outcome, result.archived) for result in done] == [("done", 2999), ("done", 2999)]
    assert verified.problems == ()
    _serve(service, key)


def test_the_optional_grants_let_the_audit_log_refer_to_users(service: Service) -> None:
    _grant(service, "administrator", "as the administrator")
    _grant(service, "app_owner", "as the owner of the tables")
    _grant(service, "app_owner", "as the owner of the tables, optional")
    migrate(service.url("ops_owner"))

    with connect(service.url("ops_owner"), "test") as owner:
        key = keys.create(owner, "test", ["admin"]).key
        referring = "SELECT count(*) FROM pg_constraint WHERE confrelid = 'public.users'::regclass"
        assert scalar(owner, referring) >= 1
    _serve(service, key)


def test_dagsters_database_and_iam_are_granted_by_the_administrator(service: Service) -> None:
    _grant(service, "administrator", "as the administrator")
    _grant(service, "administrator", "as the administrator, for Dagster")
    _grant(service, "administrator", "as the administrator, on RDS")

    dagster = service.url("ops_dagster").removesuffix("/app") + "/dagster"
    with psycopg.connect(dagster) as session:
        session.execute("CREATE TABLE runs (id int)")
    with psycopg.connect(service.url("administrator")) as session:
        members = session.execute("SELECT pg_has_role('ops_nightly', 'rds_iam', 'MEMBER')").fetchone()
        superusers = session.execute(
            "SELECT rolname FROM pg_roles WHERE rolsuper AND rolname <> 'postgres'"
        ).fetchall()
    assert (members, superusers) == ((True,), [])


def test_the_page_names_its_passwords_commands_and_every_provider() -> None:
    text = PAGE.read_text()
    for provider in ("Amazon RDS", "Google Cloud SQL", "Azure Database", "Supabase"):
        assert f"\n## {provider}" in text
    assert text.count("password_command:") >= 4


def _serve(service: Service, key: str) -> None:
    headers = {"Authorization": f"Bearer {key}"}
    with (
        capture_logs() as said,
        TestClient(observed(create_app(Settings(database_url=service.url("ops_api"))))) as client,
    ):
        assert client.post("/api/audit-logs", json={"eventType": "a"}, headers=headers).status_code == 201
        assert client.get("/api/admin/audit-logs", headers=headers).status_code == 200
        assert client.get("/health/ready").status_code == 200
    assert [line for line in said if line["event"] == "database role not in use"] == []


def _grant(service: Service, user: str, title: str) -> None:
    """Executes the block of the page that begins with that comment, one statement at a time."""
    blocks = re.findall(rf"```sql\n-- {re.escape(title)}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) == 1, title
    warnings: list[str | None] = []
    with psycopg.connect(service.url(user), autocommit=True) as session:
        session.add_notice_handler(lambda notice: warnings.append(notice.message_primary))
        for statement in filter(None, map(str.strip, blocks[0].split(";"))):
            session.execute(statement)
    assert warnings == [], "a GRANT without the right to grant only warns"


def test_migrate_says_which_roles_its_user_could_not_create(
    service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPS_DATABASE_URL", service.url("app_owner"))
    with psycopg.connect(service.url("administrator"), autocommit=True) as administrator:
        administrator.execute("GRANT CREATE ON DATABASE app TO app_owner")

        first = CliRunner().invoke(cli.app, ["migrate"])
        (create,) = re.findall(r"run as an administrator: (.*;) Then again: opsctl migrate", first.stdout)
        administrator.execute(create)
        second = CliRunner().invoke(cli.app, ["migrate"])

    assert "so ops_reader, ops_writer, ops_maintenance, ops_forwarder do not exist" in first.stdout
    assert "administrator" not in second.stdout

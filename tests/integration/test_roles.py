"""Each database role can do its work and nothing else, on the audit log and on each of its partitions."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from litestar.testing import TestClient
from psycopg import sql as compose
from structlog.testing import capture_logs

from api.app import create_app, observed
from ops_pipeline.access import keys
from ops_pipeline.audit.event import AuditEvent
from ops_pipeline.audit.store import as_json, storing
from ops_pipeline.partitions.premake import premake
from ops_pipeline.postgres import embedded
from ops_pipeline.postgres.connection import Connection, connect, scalar
from ops_pipeline.postgres.migrations import migrate
from ops_pipeline.settings import Settings
from tests.named import named

ROLES = ("ops_reader", "ops_writer", "ops_maintenance", "ops_forwarder")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)

CHANGES = {
    "INSERT": "INSERT INTO {table} (event_type, created_at) VALUES ('forged', '{at}')",
    "UPDATE": "UPDATE {table} SET status = 'success'",
    "UPDATE one column": "UPDATE {table} SET id = id",
    "DELETE": "DELETE FROM {table}",
    "TRUNCATE": "TRUNCATE {table}",
    "MERGE": "MERGE INTO {table} AS t USING (SELECT 1) AS s ON true WHEN MATCHED THEN DELETE",
    "SELECT FOR UPDATE": "SELECT id FROM {table} FOR UPDATE",
    "DROP": "DROP TABLE {table}",
    "ALTER": "ALTER TABLE {table} ADD COLUMN forged text",
    "ALTER OWNER": "ALTER TABLE {table} OWNER TO CURRENT_USER",
    "DISABLE TRIGGER": "ALTER TABLE {table} DISABLE TRIGGER ALL",
    "CREATE INDEX": "CREATE INDEX ON {table} (status)",
    "CREATE TRIGGER": "CREATE TRIGGER t BEFORE INSERT ON {table} FOR EACH ROW "
    "EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "CREATE RULE": "CREATE RULE r AS ON INSERT TO {table} DO INSTEAD NOTHING",
    "LOCK": "DO 'BEGIN LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE; END'",
    "COPY": "COPY {table} (event_type) FROM PROGRAM 'true'",
}
ANYWHERE = {
    "DETACH": "ALTER TABLE audit_logs DETACH PARTITION audit_logs_default",
    "DROP SCHEMA": "DROP SCHEMA ops CASCADE",
    "CREATE": "CREATE TABLE public.mine (id int)",
    "CREATE in ops": "CREATE TABLE ops.mine (id int)",
    "keys": "INSERT INTO ops.api_keys (name, key_hash, scopes) VALUES ('x', '\\x00', '{admin}')",
    "scopes": "UPDATE ops.api_keys SET scopes = '{admin}'",
    "revival": "UPDATE ops.api_keys SET revoked_at = NULL",
    "key removal": "DELETE FROM ops.api_keys",
    "triggers off": "SET session_replication_role = replica",
    "other role": "ALTER ROLE CURRENT_USER SUPERUSER",
}
ALLOWED = {
    "ops_reader": set[str](),
    "ops_writer": {"INSERT"},
    "ops_maintenance": {"INSERT", "DELETE", "MERGE", "LOCK"},
    "ops_forwarder": {"INSERT"},
}


@pytest.fixture
def day(connection: Connection) -> str:
    """The name of one day's partition, created after the migrations, with an event in it."""
    premake(connection, named(connection, "public.audit_logs"))
    connection.execute("INSERT INTO audit_logs (event_type, created_at) VALUES ('kept', now())")
    name: str = scalar(connection, "SELECT tableoid::regclass::text FROM audit_logs")
    return name


@contextmanager
def role(connection: Connection, name: str) -> Iterator[None]:
    connection.execute(compose.SQL("SET ROLE {}").format(compose.Identifier(name)))
    try:
        yield
    finally:
        connection.execute("RESET ROLE")


@pytest.mark.parametrize("name", ROLES)
def test_a_role_is_refused_everything_else_on_the_whole_table(connection: Connection, name: str) -> None:
    forbidden = [text for what, text in CHANGES.items() if what not in ALLOWED[name]]
    connection.execute("INSERT INTO audit_logs (event_type, created_at) VALUES ('kept', %s)", [NOW])

    with role(connection, name):
        for statement in [each.format(table="audit_logs", at=NOW) for each in forbidden]:
            _refused(connection, statement)
        for statement in ANYWHERE.values():
            _refused(connection, statement)

    assert connection.execute("SELECT event_type, status FROM audit_logs").fetchall() == [("kept", None)]


@pytest.mark.parametrize("name", ROLES)
def test_no_role_can_access_a_partition_directly(connection: Connection, day: str, name: str) -> None:
    assert day != "audit_logs_default"
    with role(connection, name):
        for statement in CHANGES.values():
            for table in (day, "audit_logs_default"):
                _refused(connection, statement.format(table=table, at=NOW))

    assert scalar(connection, "SELECT count(*) FROM audit_logs") == 1


@pytest.mark.parametrize("name", ROLES)
def test_no_role_passes_its_rights_on(connection: Connection, name: str) -> None:
    rights = "SELECT array_agg(relacl::text ORDER BY oid) FROM pg_class WHERE relname LIKE 'audit_logs%%'"
    before = scalar(connection, rights, [])

    with role(connection, name):
        for right in ("SELECT", "INSERT", "UPDATE", "DELETE", "ALL"):
            # With some right on the table this is a warning and changes nothing; without any, an error.
            with suppress(psycopg.errors.InsufficientPrivilege):
                _run(connection, f"GRANT {right} ON audit_logs TO PUBLIC")
        _refused(connection, "GRANT ops_maintenance TO ops_reader")

    assert scalar(connection, rights, []) == before


def test_the_writer_stores_on_a_new_day_and_the_reader_reads_it(connection: Connection, day: str) -> None:
    event = AuditEvent(event_type="written", created_at=datetime.now(UTC))

    with role(connection, "ops_writer"):
        for _ in range(2):
            connection.execute(storing(refers_to_users=False), {"events": as_json([event], "sql")})
        _refused(connection, "SELECT details FROM audit_logs")
        _refused(connection, "SELECT key_hash FROM ops.api_keys")
    with role(connection, "ops_reader"):
        tables = {
            name
            for (name,) in connection.execute("SELECT tableoid::regclass::text FROM audit_logs").fetchall()
        }
    with role(connection, "ops_maintenance"):
        assert connection.execute("DELETE FROM audit_logs WHERE event_type = 'kept'").rowcount == 1

    assert tables == {day}


def test_the_writer_finds_users_without_a_right_to_change_them(new_database: Callable[[], str]) -> None:
    url = new_database()
    with connect(url, "test") as connection:
        connection.execute("CREATE TABLE users (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text)")
        migrate(url)
        user = scalar(connection, "INSERT INTO users DEFAULT VALUES RETURNING id")
        with role(connection, "ops_writer"):
            login = AuditEvent(event_type="login", user_id=user)
            connection.execute(storing(refers_to_users=True), {"events": as_json([login], "sql")})
            for statement in ("UPDATE users SET id = id", "DELETE FROM users", "SELECT id FROM users"):
                _refused(connection, statement)
        assert scalar(connection, "SELECT user_id FROM audit_logs") == user


def test_the_api_works_without_its_roles_and_says_so(tmp_path: Path) -> None:
    with embedded.running(tmp_path / "own") as server:
        with psycopg.connect(server.url("postgres"), autocommit=True) as session:
            session.execute("CREATE ROLE modest LOGIN PASSWORD 'modest'")
            session.execute("CREATE DATABASE modest OWNER modest")
        url = f"postgresql://modest:modest@127.0.0.1:{server.port}/modest"
        migrate(url)
        migrate(url)
        with connect(url, "test") as session:
            key = keys.create(session, "test", ["admin"]).key

        with (
            capture_logs() as said,
            TestClient(observed(create_app(Settings(database_url=url)))) as client,
        ):
            headers = {"Authorization": f"Bearer {key}"}
            assert client.post("/api/audit-logs", json={"eventType": "a"}, headers=headers).status_code == 201
            assert client.get("/api/admin/audit-logs", headers=headers).status_code == 200

    missing = {line["role"] for line in said if line["event"] == "database role not in use"}
    assert missing == {"ops_reader", "ops_writer"}


def test_a_login_without_rights_of_its_own_is_enough_for_the_api(
    server: embedded.Server, url: str, connection: Connection
) -> None:
    connection.execute("DROP ROLE IF EXISTS plain")
    connection.execute("CREATE ROLE plain LOGIN PASSWORD 'plain' IN ROLE ops_reader, ops_writer")
    headers = {"Authorization": f"Bearer {keys.create(connection, 'test', ['admin']).key}"}
    plain = f"postgresql://plain:plain@127.0.0.1:{server.port}/{url.rpartition('/')[2]}"
    try:
        with (
            capture_logs() as said,
            TestClient(observed(create_app(Settings(database_url=plain)))) as client,
        ):
            assert client.post("/api/audit-logs", json={"eventType": "a"}, headers=headers).status_code == 201
            for path in ("audit-logs", "audit-logs/export", "audit-logs/summary", "maintenance/runs"):
                assert client.get(f"/api/admin/{path}", headers=headers).status_code == 200, path
            ready = client.get("/health/ready?verbose=1")
            assert ready.status_code == 200, ready.text
            full = client.get("/health/full?verbose=1").json()
        assert [line for line in said if line["event"] == "database role not in use"] == []
        assert full["status"] != "unhealthy", full
    finally:
        connection.execute("DROP ROLE plain")


def test_migrate_grants_to_roles_that_were_created_after_the_migrations(
    url: str, connection: Connection
) -> None:
    connection.execute("CREATE TABLE sessions (id uuid PRIMARY KEY)")
    connection.execute("GRANT SELECT ON sessions TO ops_reader")
    granted = _grants(connection)

    connection.execute("DROP OWNED BY ops_reader, ops_writer, ops_maintenance")  # as after a restore
    assert _grants(connection) == set()
    assert migrate(url) == []

    assert _grants(connection) == granted, "sql/queries/postgres/grant_to_new_roles.sql has all grants"


def test_migrate_keeps_what_an_administrator_has_revoked(url: str, connection: Connection) -> None:
    approve = "ops.approve_plan(text, text)"
    connection.execute(compose.SQL(f"REVOKE EXECUTE ON FUNCTION {approve} FROM ops_maintenance"))

    migrate(url)

    may = "SELECT has_function_privilege('ops_maintenance', %s, 'EXECUTE')"
    assert not scalar(connection, may, [approve])


def _grants(connection: Connection) -> set[tuple[str, str, str]]:
    """What our roles are granted in the database: object, role, privilege."""
    statement = """
        SELECT object, grantee::regrole::text, privilege_type
        FROM (
          SELECT oid::regclass::text, relacl FROM pg_class
          UNION ALL SELECT attrelid::regclass || '.' || attname, attacl FROM pg_attribute
          UNION ALL SELECT oid::regprocedure::text, proacl FROM pg_proc
          UNION ALL SELECT 'schema ' || nspname, nspacl FROM pg_namespace
        ) AS objects (object, acl), aclexplode(acl)
        WHERE grantee IN ('ops_reader'::regrole, 'ops_writer'::regrole, 'ops_maintenance'::regrole)
    """
    return {(thing, role, right) for thing, role, right in connection.execute(statement)}


def _refused(connection: Connection, statement: str) -> None:
    try:
        _run(connection, statement)
    except psycopg.errors.InsufficientPrivilege:
        return
    pytest.fail(f"allowed: {statement}")


def _run(connection: Connection, statement: str) -> None:
    connection.execute(compose.SQL(statement))

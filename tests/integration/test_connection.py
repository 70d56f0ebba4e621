"""Migrations run once, sessions get their settings, and messages contain no password."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

import sql
from ops_pipeline.postgres.connection import Connection, DatabaseUnavailableError, connect, scalar
from ops_pipeline.postgres.migrations import MIGRATIONS, migrate

USERS = "CREATE TABLE users (id uuid PRIMARY KEY)"
REFERENCE = "SELECT count(*) FROM pg_constraint WHERE conname = 'audit_logs_user_id_fkey' AND conparentid = 0"


def test_many_migrators_apply_each_migration_once(new_database: Callable[[], str]) -> None:
    url = new_database()

    with ThreadPoolExecutor(4) as pool:
        applied = list(pool.map(migrate, [url] * 4))

    assert sorted(map(len, applied)) == [0, 0, 0, len(list(MIGRATIONS.glob("*.sql")))]


def test_a_failed_migration_changes_nothing_and_the_next_call_continues(
    new_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = new_database()
    text = sql.migration

    def failing(name: str) -> str:
        return f"{text(name)}; SELECT 1/0" if name == "0007_guard" else text(name)

    monkeypatch.setattr(sql, "migration", failing)
    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate(url)
    monkeypatch.undo()
    with connect(url, "test") as connection:
        applied = [name for (name,) in connection.execute("SELECT name FROM ops.migrations ORDER BY name")]
        assert (len(applied), applied[-1]) == (6, "0006_archive")
        assert scalar(connection, "SELECT to_regclass('ops.plans')") is None

    assert migrate(url)[0] == "0007_guard"
    assert migrate(url) == []


def test_a_role_that_cannot_create_may_call_it_when_nothing_is_pending(
    new_database: Callable[[], str],
) -> None:
    url = new_database()
    migrate(url)
    with connect(url, "test") as connection:
        connection.execute("CREATE ROLE reads_only LOGIN PASSWORD 'x' IN ROLE ops_reader")
    name = url.rpartition("@")[2]

    assert migrate(f"postgresql://reads_only:x@{name}") == []


def test_the_migrations_leave_the_applications_tables_alone(new_database: Callable[[], str]) -> None:
    url = new_database()
    migrate(url)

    with connect(url, "test") as connection:
        tables = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1"
        ).fetchall()
    assert tables == [("audit_logs",), ("audit_logs_default",)]


@pytest.mark.parametrize(("before", "references"), [("", 0), (USERS, 1), ("CREATE TABLE users (id int)", 0)])
def test_events_refer_to_users_where_there_are_such_users(
    new_database: Callable[[], str], before: str, references: int
) -> None:
    url = new_database()
    with connect(url, "test") as connection:
        if before:
            connection.execute(before)
        migrate(url)
        assert scalar(connection, REFERENCE) == references


def test_the_audit_log_has_the_columns_and_indexes_of_the_design(connection: Connection) -> None:
    columns = connection.execute(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
        " WHERE attrelid = 'audit_logs'::regclass AND attnum > 0 ORDER BY attnum"
    ).fetchall()
    assert columns == [
        ("id", "uuid"),
        ("event_type", "character varying(50)"),
        ("user_id", "uuid"),
        ("resource_type", "character varying(50)"),
        ("resource_id", "uuid"),
        ("action", "character varying(100)"),
        ("details", "jsonb"),
        ("ip_address", "inet"),
        ("status", "character varying(20)"),
        ("duration_ms", "integer"),
        ("created_at", "timestamp with time zone"),
        ("created_by", "character varying(255)"),
        ("received_at", "timestamp with time zone"),
        ("key_id", "uuid"),
        ("peer_address", "inet"),
        ("subject_id", "uuid"),
        ("origin", "text"),
    ]
    indexes = {
        name
        for (name,) in connection.execute("SELECT indexname FROM pg_indexes WHERE tablename = 'audit_logs'")
    }
    assert {
        "idx_audit_logs_user_id",
        "idx_audit_logs_created_at",
        "idx_audit_logs_event_type",
        "idx_audit_logs_resource",
    } <= indexes


def test_a_session_says_who_it_is_and_reads_times_as_utc(url: str) -> None:
    with connect(url, "x" * 100, lock_timeout="123ms") as connection:
        assert scalar(connection, "SHOW application_name") == "x" * 63
        assert scalar(connection, "SHOW timezone") == "UTC"
        assert scalar(connection, "SHOW lock_timeout") == "123ms"


def test_an_unreachable_server_is_named_without_its_password() -> None:
    with pytest.raises(DatabaseUnavailableError) as caught:
        connect("postgresql://me:s3cret@127.0.0.1:1/app", "test")

    assert "Database 'app' at 127.0.0.1:1: no connection was made" in str(caught.value)
    assert "s3cret" not in str(caught.value)

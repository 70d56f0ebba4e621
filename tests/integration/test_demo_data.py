"""The demo's data: the same for the same seed, with every case that maintenance handles."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest
from psycopg import sql as compose
from typer.testing import CliRunner

from ops_pipeline import cli
from ops_pipeline.cli.up import sample_application
from ops_pipeline.partitions.partition import existing
from ops_pipeline.postgres import embedded
from ops_pipeline.postgres.connection import Connection, connect, row, scalar
from tests.named import named

AS_OF = datetime(2026, 3, 14, 15, 9, 26, 535897, tzinfo=UTC)
SCALE = 0.01
TABLES = ("users", "sessions", "conversations", "memories", "audit_logs")
CONTENT = compose.SQL(
    "SELECT md5(string_agg((to_jsonb(t) - 'received_at')::text, E'\\n' ORDER BY t.id)) FROM {} t"
)


def unwatched(message: str) -> None:
    pass


def kill(message: str) -> None:
    if message.startswith("audit_logs"):
        raise KeyboardInterrupt


def fill(url: str, *, seed: int = 1, as_of: datetime = AS_OF) -> sample_application.Filled:
    return sample_application.fill(url, seed=seed, scale=SCALE, as_of=as_of, report=unwatched)


def content(url: str) -> dict[str, str]:
    with connect(url, "test") as session:
        return {
            table: scalar(session, CONTENT.format(compose.Identifier(table))) or "nothing" for table in TABLES
        }


@pytest.fixture(scope="module")
def filled(server: embedded.Server) -> Iterator[Connection]:
    """One filled database for the tests that only read it."""
    with psycopg.connect(server.url("postgres"), autocommit=True) as administrator:
        administrator.execute("CREATE DATABASE demo_data")
        url = server.url("demo_data")
        fill(url)
        with connect(url, "test") as session:
            yield session
        administrator.execute("DROP DATABASE demo_data WITH (FORCE)")


@pytest.fixture(scope="module")
def first(filled: Connection, server: embedded.Server) -> dict[str, str]:
    """A connection to that database."""
    return content(server.url("demo_data"))


def test_the_same_seed_and_time_make_the_same_rows(
    new_database: Callable[[], str], first: dict[str, str]
) -> None:
    again, other = new_database(), new_database()
    fill(again)
    fill(other, seed=2)

    assert content(again) == first
    assert all(content(other)[table] != first[table] for table in TABLES)


def test_rows_are_the_same_for_any_batch_size(
    new_database: Callable[[], str], first: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces = new_database()
    monkeypatch.setattr(sample_application, "ROWS_A_STATEMENT", 777)
    fill(pieces)

    assert content(pieces) == first


def test_the_scale_is_the_number_of_rows(filled: Connection) -> None:
    counts = {table: count(filled, table) for table in TABLES}

    assert counts == {
        "users": 20,
        "sessions": 500,
        "conversations": 600,
        "memories": 2_500,
        "audit_logs": 3_000,
    }


def test_three_quarters_of_the_sessions_have_expired(filled: Connection) -> None:
    expired = count(filled, "sessions", "created_at < %s", AS_OF - timedelta(days=30))

    assert 0.7 < expired / 500 < 0.8


def test_memories_have_a_parent_have_lost_it_or_never_had_one(filled: Connection) -> None:
    orphaned = "session_id IS NOT NULL AND session_id NOT IN (SELECT id FROM sessions)"
    expiring = "session_id IN (SELECT id FROM sessions WHERE created_at < %s)"

    assert 0.02 < count(filled, "memories", orphaned) / 2_500 < 0.06
    assert 0.03 < count(filled, "memories", "session_id IS NULL") / 2_500 < 0.07
    assert count(filled, "memories", expiring, AS_OF - timedelta(days=30)) > 1_000


def test_some_rows_are_written_after_newer_ones(new_database: Callable[[], str]) -> None:
    url = new_database()
    with pytest.raises(KeyboardInterrupt):
        sample_application.fill(url, scale=SCALE, as_of=AS_OF, report=kill)
    add_place = "ALTER TABLE {} ADD COLUMN place bigserial"
    behind = "SELECT max(created_at) OVER (ORDER BY place) - created_at AS behind FROM {}"
    with connect(url, "test") as session:
        for table in ("sessions", "memories", "audit_logs"):
            session.execute(compose.SQL(add_place).format(compose.Identifier(table)))
        fill(url)

        for table, rows in (("sessions", 500), ("memories", 2_500), ("audit_logs", 3_000)):
            late = compose.SQL("SELECT count(*) FROM ({}) t WHERE behind > '10 days'").format(
                compose.SQL(behind).format(compose.Identifier(table))
            )
            assert 0 < scalar(session, late) <= rows / 100


def test_audit_events_are_of_every_kind(filled: Connection) -> None:
    kinds, statuses, families = row(
        filled,
        """
        SELECT count(DISTINCT event_type), array_agg(DISTINCT status), array_agg(DISTINCT family(ip_address))
        FROM audit_logs
        """,
    )

    assert kinds >= 30
    assert set(statuses) == {"success", "failure", "pending"}
    assert set(families) == {4, 6, None}
    assert count(filled, "audit_logs", "action IS NULL AND event_type = 'login'") > 0
    assert scalar(filled, "SELECT max(n) FROM (SELECT count(*) n FROM audit_logs GROUP BY created_at) t") >= 6


def test_a_call_to_a_model_says_which_and_how_long(filled: Connection) -> None:
    calls = count(filled, "audit_logs", "event_type = 'llm_request'")

    assert calls > 300
    assert (
        count(filled, "audit_logs", "event_type = 'llm_request' AND details ? 'model' AND duration_ms > 0")
        == calls
    )


def test_the_id_of_an_unknown_user_is_kept(filled: Connection) -> None:
    unresolved = "details ? 'unresolved_user_id'"
    known = "(details->>'unresolved_user_id')::uuid IN (SELECT id FROM users)"

    assert count(filled, "audit_logs", unresolved) > 0
    assert count(filled, "audit_logs", f"{unresolved} AND user_id IS NOT NULL") == 0
    assert count(filled, "audit_logs", known) == 0
    by_a_user = "user_id IS NULL AND created_by LIKE '%%@%%' AND NOT details ? 'unresolved_user_id'"
    assert count(filled, "audit_logs", by_a_user) == 0


def test_every_audit_event_is_in_its_days_partition(filled: Connection) -> None:
    assert count(filled, "audit_logs_default") == 0
    first = min(each.lower for each in existing(filled, named(filled, "audit_logs")) if each.lower)
    assert first.date() == date(2025, 11, 14)


@pytest.mark.parametrize("table", ["sessions", "audit_logs"])
def test_no_day_has_a_row_around_the_hour_of_maintenance(filled: Connection, table: str) -> None:
    """A second run right after the first then finds no row that has expired in between."""
    for day in range(122):
        maintenance = AS_OF - timedelta(days=day)
        quiet = (maintenance - timedelta(hours=1), maintenance + timedelta(hours=5))
        assert count(filled, table, "created_at BETWEEN %s AND %s", *quiet) == 0
    assert count(filled, table, "created_at > %s", AS_OF) == 0


def test_without_a_time_the_current_time_is_used(new_database: Callable[[], str]) -> None:
    url = new_database()
    before = datetime.now(UTC)
    sample_application.fill(url, scale=SCALE, report=unwatched)

    with connect(url, "test") as session:
        newest = scalar(session, "SELECT max(created_at) FROM sessions")
        assert before - timedelta(hours=30) < newest < before
        for table, keep in (("sessions", timedelta(days=30)), ("audit_logs", timedelta(days=90))):
            cutoff = before - keep
            assert (
                count(session, table, "created_at BETWEEN %s AND %s", cutoff, cutoff + timedelta(hours=5))
                == 0
            )


def test_a_second_fill_changes_nothing_and_says_so(new_database: Callable[[], str]) -> None:
    url = new_database()
    created = fill(url)
    before = content(url)
    messages: list[str] = []

    again = sample_application.fill(url, seed=9, scale=0.5, report=messages.append)

    assert created.created
    assert not again.created
    assert (again.sessions, again.memories, again.audit_events) == (500, 2_500, 3_000)
    assert "already filled" in messages[-1]
    assert content(url) == before


def test_a_killed_fill_is_started_over(new_database: Callable[[], str], first: dict[str, str]) -> None:
    killed = new_database()
    with pytest.raises(KeyboardInterrupt):
        sample_application.fill(killed, scale=SCALE, as_of=AS_OF, report=kill)
    assert set(content(killed).values()) == {"nothing"}

    assert fill(killed).created
    assert content(killed) == first


@pytest.mark.parametrize("table", ["users", "sessions", "precious"])
def test_a_table_of_another_application_is_refused_and_unchanged(
    new_database: Callable[[], str], table: str
) -> None:
    url = new_database()
    name = compose.Identifier(table)
    with connect(url, "test") as session:
        session.execute(compose.SQL("CREATE TABLE {} (precious text)").format(name))
        session.execute(compose.SQL("INSERT INTO {} VALUES ('ours')").format(name))

        with pytest.raises(
            sample_application.DemoRefusedError, match=rf"has the table public\.{table}.*empty database"
        ):
            fill(url)

        tables = session.execute("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace")
        assert tables.fetchall() == [(table,)]
        assert scalar(session, compose.SQL("SELECT precious FROM {}").format(name)) == "ours"


def test_an_invalid_size_or_time_is_named(new_database: Callable[[], str]) -> None:
    with pytest.raises(ValueError, match=r"scale: 0 .*positive"):
        sample_application.fill(new_database(), scale=0, report=unwatched)
    with pytest.raises(ValueError, match=r"as_of: .*time zone"):
        fill(new_database(), as_of=AS_OF.replace(tzinfo=None))


def count(session: Connection, table: str, condition: LiteralString = "true", *values: object) -> int:
    statement = compose.SQL("SELECT count(*) FROM {} WHERE ").format(compose.Identifier(table))
    return int(scalar(session, statement + compose.SQL(condition), values or None))


OTHERS = """
version: 1
databases:
  app: {url: '${OPS_DATABASE_URL}', retention: [{table: job_log, column: at, keep: 30 days}]}
"""
ANOTHER = """
version: 1
databases:
  app: {url: '${OPS_DATABASE_URL}', vacuum: {}}
  shop: {url: 'postgresql://127.0.0.1:1/shop', vacuum: {}}
"""


@pytest.mark.parametrize(
    ("policies", "why"),
    [(OTHERS, "has the table public.job_log"), (ANOTHER, "has the database shop, which is not the demo's")],
)
def test_the_demo_deletes_nothing_that_it_did_not_create(
    new_database: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policies: str, why: str
) -> None:
    url = new_database()
    (tmp_path / "policies.yaml").write_text(policies)
    monkeypatch.setenv("OPS_POLICIES", str(tmp_path / "policies.yaml"))
    monkeypatch.setenv("OPS_DATABASE_URL", url)
    with connect(url, "test") as session:
        session.execute("CREATE TABLE job_log (at) AS SELECT now() - interval '90 days'")

        done = CliRunner().invoke(cli.app, ["demo", "--scale", "0.001"])

        assert done.exit_code == 1
        assert why in str(done.exception)
        assert scalar(session, "SELECT count(*) FROM job_log") == 1
        tables = session.execute("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace")
        assert tables.fetchall() == [("job_log",)]

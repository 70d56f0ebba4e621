"""A session that holds dead rows back is named, and a VACUUM that could not remove them is not done."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest

from ops_pipeline.diagnosis import old_transactions
from ops_pipeline.diagnosis.diagnosis import Examination
from ops_pipeline.diagnosis.old_transactions import PREPARED_TRANSACTIONS
from ops_pipeline.finding import Finding
from ops_pipeline.maintenance.kinds import carry_out
from ops_pipeline.maintenance.vacuum import horizon
from ops_pipeline.maintenance.vacuum.policy import Vacuum
from ops_pipeline.postgres import embedded
from ops_pipeline.postgres.connection import Connection, connect, scalar
from ops_pipeline.postgres.relation import TableName
from ops_pipeline.settings import Settings
from tests.eventually import eventually
from tests.integration.vacuum.conftest import Standby


@pytest.fixture
def items(everything: Vacuum) -> Vacuum:
    return replace(everything, tables=(TableName.parse("items"),))


def test_a_transaction_held_open_is_named(application: Connection, vacuum: Vacuum, url: str) -> None:
    with psycopg.connect(url, application_name="a report") as other:
        pid = other.info.backend_pid
        other.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        other.execute("SELECT count(*) /* the books */ FROM memories")
        application.execute("DELETE FROM sessions WHERE created_at < now() - interval '30 days'")

        blocked = carry_out(application, vacuum)

    assert (blocked.outcome, blocked.remaining, blocked.dead_tuples_after) == ("stopped", None, 3000)
    assert f"blocked by idle in transaction pid {pid} (user postgres, a report, " in blocked.stopped_reason
    assert "/* the books */" in blocked.stopped_reason
    assert "public.sessions (3,000 dead rows)" in blocked.stopped_reason
    (holder,) = blocked.details["blockers"]
    assert (holder["pid"], holder["user"], holder["kind"]) == (pid, "postgres", "idle in transaction")
    assert holder["age"] >= 1
    assert holder["remedy"] == f"SELECT pg_terminate_backend({pid});"
    (table,) = [each for each in blocked.details["tables"] if each["table"] == "public.sessions"]
    assert table["outcome"] == "blocked"
    done = carry_out(application, vacuum)
    assert (done.outcome, done.dead_tuples_after) == ("done", 0)


def test_a_transaction_that_began_later_is_not_blamed(
    application: Connection, vacuum: Vacuum, url: str
) -> None:
    application.execute("DELETE FROM sessions WHERE created_at < now() - interval '30 days'")
    with psycopg.connect(url) as other:
        other.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT 1")

        assert carry_out(application, vacuum).outcome == "done"


def test_a_role_without_rights_still_learns_which_session_it_is(application: Connection, url: str) -> None:
    application.execute("CREATE ROLE stranger")
    try:
        with psycopg.connect(url) as other:
            other.execute("CREATE TABLE mine (n int)")
            application.execute("SET ROLE stranger")
            (holder,) = horizon.find_holders(application)
            assert holder.pid == other.info.backend_pid
            assert "may not see more: that takes membership in pg_read_all_stats" in str(holder)
    finally:
        application.execute("RESET ROLE; DROP ROLE stranger")


def test_a_prepared_transaction_is_named(on_primary: Connection, items: Vacuum) -> None:
    on_primary.execute("BEGIN; INSERT INTO items VALUES (0); PREPARE TRANSACTION 'it''s left'")
    try:
        on_primary.execute("DELETE FROM items")
        blocked = carry_out(on_primary, items)
    finally:
        on_primary.execute("ROLLBACK PREPARED 'it''s left'")

    assert blocked.outcome == "stopped"
    assert 'blocked by prepared transaction "it\'s left" (user postgres' in blocked.stopped_reason
    assert blocked.details["blockers"][0]["remedy"] == (
        "-- as its owner decides: COMMIT PREPARED 'it''s left'; or ROLLBACK PREPARED 'it''s left';"
    )


def test_a_logical_slot_holds_back_the_system_tables_only(
    on_primary: Connection, items: Vacuum, primary: embedded.Server
) -> None:
    on_primary.execute("SELECT pg_create_logical_replication_slot('left_behind', 'pgoutput')")
    try:
        on_primary.execute("DELETE FROM items")
        on_primary.execute(
            "DO $$ BEGIN FOR n IN 1..200 LOOP"
            " EXECUTE 'CREATE TABLE t' || n || ' (a int); DROP TABLE t' || n; END LOOP; END $$"
        )
        assert carry_out(on_primary, items).outcome == "done"
        blocked = carry_out(on_primary, replace(items, tables=(TableName.parse("pg_catalog.pg_attribute"),)))
    finally:
        on_primary.execute("SELECT pg_drop_replication_slot('left_behind')")

    assert 'blocked by replication slot "left_behind"' in blocked.stopped_reason
    assert (
        carry_out(on_primary, replace(items, tables=(TableName.parse("pg_catalog.pg_attribute"),))).outcome
        == "done"
    )


def test_a_long_query_on_a_standby_is_named(on_primary: Connection, items: Vacuum, standby: Standby) -> None:
    held = "SELECT backend_xmin IS NOT NULL FROM pg_stat_replication"
    with standby("") as server, _reading(server, on_primary, held):
        on_primary.execute("DELETE FROM items")
        blocked = carry_out(on_primary, items)

    assert (blocked.outcome, blocked.dead_tuples_after) == ("stopped", 1000)
    (holder,) = blocked.details["blockers"]
    assert (holder["kind"], holder["name"]) == ("standby", "walreceiver")
    assert f"blocked by standby pid {holder['pid']} (user postgres" in blocked.stopped_reason
    assert holder["remedy"].startswith("-- end the long query on the standby")
    assert carry_out(on_primary, items).outcome == "done"


def test_a_standbys_slot_is_named_with_and_without_the_standby(
    on_primary: Connection, items: Vacuum, standby: Standby
) -> None:
    on_primary.execute("SELECT pg_create_physical_replication_slot('standby_1', true)")
    held = "SELECT xmin IS NOT NULL FROM pg_replication_slots WHERE slot_name = 'standby_1'"
    try:
        with standby("standby_1") as server:
            with suppress(psycopg.OperationalError), _reading(server, on_primary, held):
                on_primary.execute("DELETE FROM items")
                followed = carry_out(on_primary, items)
                _kill(server)
            _until(on_primary, "SELECT NOT active FROM pg_replication_slots")
            left_behind = carry_out(on_primary, items)
    finally:
        on_primary.execute("SELECT pg_drop_replication_slot('standby_1')")

    (first,), (second,) = followed.details["blockers"], left_behind.details["blockers"]
    assert (first["kind"], first["name"], second["kind"], second["name"]) == (
        "replication slot", "standby_1", "replication slot", "standby_1",
    )  # fmt: skip
    assert first["remedy"].startswith("-- end the long query on the standby")
    assert second["remedy"].endswith("SELECT pg_drop_replication_slot('standby_1');")
    assert (followed.dead_tuples_after, left_behind.dead_tuples_after) == (1000, 1000)
    assert carry_out(on_primary, items).outcome == "done"


@contextmanager
def _reading(server: embedded.Server, primary: Connection, held: str) -> Iterator[None]:
    """A query is open on the standby, and the primary knows its horizon."""
    with psycopg.connect(server.url("app")) as reader:
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class")
        _until(primary, held)
        yield


def _kill(server: embedded.Server) -> None:
    """Kills the standby, so that it cannot notify its primary."""
    with psycopg.connect(server.url("app"), autocommit=True) as session:
        folder = Path(scalar(session, "SHOW data_directory"))
    os.kill(int((folder / "postmaster.pid").read_text().splitlines()[0]), signal.SIGKILL)


def _until(primary: Connection, question: LiteralString) -> None:
    eventually(lambda: (primary.execute(question).fetchone() or [None])[0], otherwise=lambda: question)


def test_a_locked_table_is_tried_again_at_the_end_and_the_session_named(
    application: Connection, vacuum: Vacuum, url: str
) -> None:
    application.execute("DELETE FROM sessions; SET lock_timeout = '50ms'")
    with connect(url, "somebody") as other, other.transaction():
        pid = other.info.backend_pid
        other.execute("LOCK TABLE sessions IN SHARE MODE")

        result = carry_out(application, vacuum)

    assert f"public.sessions: locked by pid {pid} (postgres, somebody)" in result.stopped_reason


def test_doctor_finds_an_old_prepared_transaction_and_its_remedies_end_it(
    on_primary: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found() -> list[Finding]:
        return list(PREPARED_TRANSACTIONS.find(Examination(on_primary, (), Settings())))

    for remedy in (0, 1):
        on_primary.execute("BEGIN; INSERT INTO items VALUES (0); PREPARE TRANSACTION 'it''s left'")
        assert found() == [], "it is not old yet"
        with monkeypatch.context() as old:
            old.setattr(old_transactions, "OLD_SECONDS", 0)
            (left,) = found()
            assert left.subject == "prepared transaction 'it''s left' (user postgres)"
            on_primary.execute(left.remedies[remedy].partition(": ")[2].encode())
            assert found() == []

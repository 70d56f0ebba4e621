"""VACUUM handles each table separately, reports its effect, and does not queue behind a lock."""

import re
from collections.abc import Callable
from dataclasses import replace

import psycopg
import pytest

from ops_pipeline.maintenance.kinds import carry_out
from ops_pipeline.maintenance.vacuum import checks
from ops_pipeline.maintenance.vacuum.policy import Vacuum
from ops_pipeline.postgres.connection import Connection, connect, scalar


def test_dead_rows_are_removed_and_statistics_updated(application: Connection, vacuum: Vacuum) -> None:
    application.execute("DELETE FROM sessions WHERE created_at < now() - interval '30 days'")

    result = carry_out(application, vacuum)

    assert (result.outcome, result.dead_tuples_before, result.dead_tuples_after) == ("done", 3000, 0)
    assert (result.scanned, result.removed, result.remaining) == (2, 0, None)
    analyzed = "SELECT last_analyze, last_vacuum FROM pg_stat_user_tables WHERE relname = 'sessions'"
    assert None not in application.execute(analyzed).fetchone()  # type: ignore[operator]  # one row, always


def test_a_locked_table_is_skipped_and_named(application: Connection, vacuum: Vacuum, url: str) -> None:
    application.execute("DELETE FROM memories; SET lock_timeout = '50ms'")
    with psycopg.connect(url) as other:
        other.execute("LOCK TABLE sessions IN SHARE MODE")

        result = carry_out(application, vacuum)

    assert result.outcome == "stopped"
    assert "public.sessions: locked" in result.stopped_reason
    assert "memories" not in result.stopped_reason
    assert (result.scanned, result.remaining) == (2, None)


def test_a_locked_table_does_not_stop_the_others(
    application: Connection, vacuum: Vacuum, locked: Callable[[str], None]
) -> None:
    application.execute("DELETE FROM memories; DELETE FROM sessions; SET lock_timeout = '50ms'")
    locked("sessions")

    result = carry_out(application, vacuum)

    assert result.outcome == "stopped"
    assert "public.sessions: locked by pid" in result.stopped_reason
    assert (result.scanned, result.remaining) == (2, None)


def test_a_table_we_may_not_vacuum_is_named(application: Connection, vacuum: Vacuum, url: str) -> None:
    application.execute(
        "GRANT USAGE, CREATE ON SCHEMA ops, public TO PUBLIC;GRANT ALL ON ALL TABLES IN SCHEMA ops TO PUBLIC;"
    )
    with connect(url, "test") as session:
        session.execute("SET ROLE pg_monitor")

        result = carry_out(session, vacuum)

    assert result.outcome == "stopped"
    # The first are PostgreSQL's words since version 16.
    assert re.search(
        "permission denied to vacuum|only table or database owner can vacuum", result.stopped_reason
    )


def test_the_check_fails_until_the_dead_rows_are_removed(
    application: Connection, vacuum: Vacuum, url: str
) -> None:
    with psycopg.connect(url) as other:
        other.execute("CREATE TABLE unfinished (n int)")
        application.execute("DELETE FROM sessions")
        carry_out(application, vacuum)

        found = checks.uncleaned_tables(application, vacuum)

        assert (found.tables, found.dead) == (("public.sessions",), 6000)
        assert f"now blocked by idle in transaction pid {other.info.backend_pid}" in found.reason
    application.execute("VACUUM sessions")
    assert checks.uncleaned_tables(application, vacuum).tables == ()


def test_the_effect_on_each_table_is_recorded(application: Connection, vacuum: Vacuum) -> None:
    application.execute("DELETE FROM sessions")

    result = carry_out(application, replace(vacuum, truncate=True))

    (gain,) = result.details["tables"]
    assert (gain["table"], gain["dead_before"], gain["dead_after"]) == ("public.sessions", 6000, 0)
    assert gain["bytes_before"] > 1_000_000
    assert gain["bytes_after"] < 100_000
    assert gain["index_bytes_before"] > 0
    assert result.details["progress"] is None


def test_without_truncate_the_table_keeps_its_size(application: Connection, vacuum: Vacuum) -> None:
    application.execute("DELETE FROM sessions")

    (gain,) = carry_out(application, vacuum).details["tables"]

    assert gain["bytes_after"] >= gain["bytes_before"]


def test_the_databases_age_is_recorded_once_for_all_tables(application: Connection, vacuum: Vacuum) -> None:
    if application.info.server_version < 160000:
        pytest.skip("PostgreSQL can leave it out after each table since version 16")
    application.execute("DELETE FROM sessions; DELETE FROM memories")
    noted = "SELECT age(datfrozenxid) FROM pg_database WHERE datname = current_database()"
    application.execute("VACUUM (FREEZE, SKIP_DATABASE_STATS)")
    before = scalar(application, noted)

    carry_out(application, vacuum)

    assert scalar(application, noted) < before

"""A connection lost in the middle of a run is replaced, and the policy continues where it was."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import dagster as dg
import psycopg
import pytest

from ops_pipeline.orchestration import retry
from ops_pipeline.policies.connection import connect_to
from ops_pipeline.policies.model import Database
from ops_pipeline.postgres.connection import Connection, DatabaseUnavailableError, connection_was_lost, scalar
from ops_pipeline.postgres.ready import StandbyError
from tests.integration.orchestration.conftest import Materialize

# A sequence keeps its value even if the transaction is rolled back.
LOSE_THE_CONNECTION_TWICE = """
CREATE SEQUENCE deletes;
CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF nextval('deletes') <= 2 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER lose AFTER DELETE ON sessions FOR EACH STATEMENT EXECUTE FUNCTION lose();
"""
HISTORY = "SELECT outcome, rows_removed FROM ops.maintenance_runs WHERE policy = %s ORDER BY id"


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(retry, "LONGEST_WAIT_SECONDS", 0.05)


def test_a_lost_connection_is_replaced_and_the_run_continues(
    materialize: Materialize, application: Connection
) -> None:
    application.execute(LOSE_THE_CONNECTION_TWICE)

    result = materialize()

    assert result.success
    assert scalar(application, "SELECT count(*) FROM sessions") == 30
    runs = application.execute(HISTORY, ["app/retention/sessions"]).fetchall()
    assert runs == [("interrupted", 0), ("interrupted", 0), ("done", 30)]


def test_a_database_that_stays_unreachable_fails_the_run_with_its_name(
    materialize: Materialize, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPS_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/app")

    result = materialize(raise_on_error=False)

    assert not result.success
    failure = result.get_step_failure_events()[0].step_failure_data.error
    assert "app: Database 'app' at 127.0.0.1:1: no connection was made" in str(failure)


def test_a_step_that_begins_during_a_failover_waits_for_the_primary(
    materialize: Materialize, application: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: Counter[str] = Counter()

    def away_at_first(wanted: Database, environment: Mapping[str, str], name: str, **more: Any) -> Any:
        tries[name] += 1
        if name == "ops app/retention/sessions" and tries[name] < retry.TRIES:
            raise StandbyError("a standby, which accepts no writes")
        return connect_to(wanted, environment, name, **more)

    monkeypatch.setattr("ops_pipeline.orchestration.resources.connect_to", away_at_first)

    result = materialize()

    assert result.success
    assert tries["ops app/retention/sessions"] == retry.TRIES
    assert scalar(application, "SELECT count(*) FROM sessions") == 30


def test_an_error_other_than_a_lost_connection_is_not_retried(
    materialize: Materialize, application: Connection
) -> None:
    application.execute("CREATE TABLE child (session_id uuid REFERENCES sessions)")
    application.execute("INSERT INTO child SELECT id FROM sessions, generate_series(1, 500)")

    result = materialize(raise_on_error=False)

    assert not result.success
    assert len(application.execute(HISTORY, ["app/retention/sessions"]).fetchall()) == 1
    assert not [
        event for event in result.all_events if event.event_type is dg.DagsterEventType.STEP_RESTARTED
    ]


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (psycopg.OperationalError("consuming input failed"), True),
        (psycopg.errors.AdminShutdown(), True),
        (psycopg.errors.ReadOnlySqlTransaction(), True),
        (psycopg.errors.ConnectionFailure(), True),
        (psycopg.InterfaceError("the connection is closed"), True),
        (DatabaseUnavailableError("away"), True),
        (psycopg.errors.LockNotAvailable(), False),
        (psycopg.errors.DiskFull(), False),
        (psycopg.errors.QueryCanceled(), False),
        (psycopg.errors.ForeignKeyViolation(), False),
        (ValueError(), False),
    ],
)
def test_only_a_session_that_ended_counts_as_lost(error: Exception, lost: bool) -> None:
    assert connection_was_lost(error) is lost

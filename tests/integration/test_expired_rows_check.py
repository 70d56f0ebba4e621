"""The check `no_expired_rows` counts what a run should have deleted, and no row that it must keep."""

import pytest

from ops_pipeline.holds import holds
from ops_pipeline.maintenance.check import CheckResult
from ops_pipeline.maintenance.kinds import carry_out
from ops_pipeline.maintenance.retention.checks import checks
from ops_pipeline.maintenance.retention.policy import Retention
from ops_pipeline.postgres.connection import Connection


def evaluate(connection: Connection, policy: Retention) -> CheckResult:
    (check,) = [check for check in checks(policy) if check.name == "no_expired_rows"]
    return check.ask(connection)


def test_expired_rows_before_a_run_are_counted(application: Connection, retention: Retention) -> None:
    found = evaluate(application, retention)

    assert not found.passed
    assert found.metadata["rows_remaining"] == 3000
    assert found.description.startswith("3,000 rows of sessions are older than ")


def hold(connection: Connection) -> None:
    oldest = "created_at < '2999-01-01'"
    holds.add(connection, "sessions", oldest, reason="case", owner="legal", by="me", ends_at=None)


def refer(connection: Connection) -> None:
    connection.execute(
        "CREATE TABLE notes (session_id uuid UNIQUE REFERENCES sessions);"
        "INSERT INTO notes SELECT id FROM sessions"
    )


@pytest.mark.parametrize("keep", [hold, refer])
def test_rows_that_a_run_must_keep_are_not_counted(
    application: Connection, retention: Retention, keep: object
) -> None:
    assert callable(keep)
    keep(application)

    result = carry_out(application, retention)
    found = evaluate(application, retention)

    assert (result.outcome, result.removed) == ("done", 0)
    assert found.passed
    assert found.metadata["rows_remaining"] == 0
    assert found.description.startswith("No row of sessions is older than ")

"""A run whose worker is gone does not stay "running" in the history."""

from ops_pipeline.maintenance import history
from ops_pipeline.postgres.advisory_lock import advisory_lock
from ops_pipeline.postgres.connection import Connection, connect

OUTCOMES = "SELECT policy, outcome, finished_at IS NOT NULL FROM ops.maintenance_runs ORDER BY policy"


def test_a_run_whose_lock_is_free_is_interrupted_and_a_running_one_is_left_alone(
    connection: Connection, url: str
) -> None:
    with connect(url, "the living run") as living, advisory_lock(living, "ops: app/vacuum"):
        history.begin(living, "app/vacuum", None)
        history.begin(connection, "app/retention/sessions", None)

        dead = history.interrupt_dead(connection)

    assert dead == ["app/retention/sessions"]
    assert connection.execute(OUTCOMES).fetchall() == [
        ("app/retention/sessions", "interrupted", True),
        ("app/vacuum", "running", False),
    ]


def test_a_run_that_has_ended_keeps_its_outcome(connection: Connection) -> None:
    record = history.begin(connection, "app/vacuum", None)
    record.end_early(connection, "failed", "no space left on device")

    assert history.interrupt_dead(connection) == []
    assert connection.execute(OUTCOMES).fetchall() == [("app/vacuum", "failed", True)]

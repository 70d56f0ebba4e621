"""Materializing an asset carries its policy out; its check looks for itself."""

import dagster as dg

from ops_pipeline.database import Connection, connect, scalar
from tests.dagster.conftest import POLICIES, Materialize


def _metadata(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, object]]:
    materializations = (
        event.step_materialization_data.materialization for event in result.get_asset_materialization_events()
    )
    return {
        each.asset_key.to_user_string(): {name: value.value for name, value in each.metadata.items()}
        for each in materializations
    }


def test_a_night_leaves_nothing_and_says_what_it_did(materialize: Materialize) -> None:
    result = materialize()

    assert result.success
    metadata = _metadata(result)
    assert metadata["app/retention/sessions"]["rows_removed"] == 30
    assert metadata["app/retention/sessions"]["rows_left"] == 0
    assert metadata["app/orphans/memories"]["rows_removed"] == 30
    assert metadata["app/vacuum"]["dead_tuples_before"] == 60
    assert metadata["app/vacuum"]["dead_tuples_after"] == 0
    for of_asset in (each for name, each in metadata.items() if name.startswith("app/")):
        assert {"rows_removed", "rows_left", "seconds", "dead_tuples_before", "dead_tuples_after"} <= set(
            of_asset
        )
    assert "oldest_row_left" in metadata["app/retention/sessions"]
    assert all(check.passed for check in result.get_asset_check_evaluations())
    assert len(result.get_asset_check_evaluations()) == 2


def test_the_history_names_the_dagster_run(materialize: Materialize, connection: Connection) -> None:
    result = materialize()

    runs = "SELECT DISTINCT dagster_run_id FROM ops.maintenance_runs"
    assert connection.execute(runs).fetchall() == [(result.run_id,)]


def test_a_policy_that_does_not_fit_its_database_stops_before_anything(
    materialize: Materialize, connection: Connection
) -> None:
    wrong = POLICIES.replace("column: session_id", "column: sesion_id")

    result = materialize(wrong, raise_on_error=False)

    assert not result.success
    assert scalar(connection, "SELECT count(*) FROM sessions") == 60
    failure = result.get_step_failure_events()[0].step_failure_data.error
    assert 'did you mean "session_id"?' in str(failure)


def test_what_another_run_holds_is_not_run_twice(
    materialize: Materialize, connection: Connection, url: str
) -> None:
    with connect(url, "the other run") as other:
        other.execute("SELECT pg_advisory_lock(hashtextextended('ops: app/retention/sessions', 0))")

        result = materialize(raise_on_error=False)

    assert not result.success
    assert scalar(connection, "SELECT count(*) FROM sessions") == 60
    assert "the other run (pid" in str(result.get_step_failure_events()[0].step_failure_data)

"""Materializing an asset carries its policy out; its check looks for itself."""

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest

from ops_pipeline import policy
from ops_pipeline.database import Connection, connect, scalar
from ops_pipeline.orchestration import gather

POLICIES = """
version: 1
databases:
  app:
    url: ${OPS_DATABASE_URL}
    retention: [{table: sessions, column: created_at, keep: 30 days}]
    orphans: [{table: memories, column: session_id, references: sessions.id}]
    vacuum: {tables: [sessions, memories]}
"""
FILL = """
CREATE TABLE sessions (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), created_at timestamptz);
CREATE TABLE memories (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), session_id uuid);
INSERT INTO sessions (created_at)
SELECT now() - make_interval(days => day) - interval '1 minute' FROM generate_series(0, 59) AS day;
INSERT INTO memories (session_id) SELECT id FROM sessions;
"""

Materialize = Callable[..., dg.ExecuteInProcessResult]


@pytest.fixture
def materialize(
    connection: Connection, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Materialize:
    """Carries policies out in this process, with a Dagster instance of its own."""
    connection.execute(FILL)
    monkeypatch.setenv("OPS_DATABASE_URL", url)
    file = tmp_path / "policies.yaml"

    def carry_out(text: str = POLICIES, *, raise_on_error: bool = True) -> dg.ExecuteInProcessResult:
        file.write_text(text)
        definitions = gather.definitions(policy.load(file))
        with dg.DagsterInstance.ephemeral() as instance:
            return definitions.resolve_implicit_global_asset_job_def().execute_in_process(
                instance=instance, raise_on_error=raise_on_error
            )

    return carry_out


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
    for of_asset in metadata.values():
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

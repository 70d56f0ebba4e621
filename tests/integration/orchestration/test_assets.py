"""Materializing an asset runs its policy; its check looks for itself."""

from datetime import timedelta

import dagster as dg
import pytest

from ops_pipeline.maintenance.result import RunResult
from ops_pipeline.maintenance.vacuum.kind import VACUUM
from ops_pipeline.orchestration import assets, metadata
from ops_pipeline.pauses import pauses
from ops_pipeline.policies.model import Schedule
from ops_pipeline.postgres.connection import Connection, connect, scalar
from tests.integration.orchestration.conftest import POLICIES, Materialize


def _metadata(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, object]]:
    materializations = (
        event.step_materialization_data.materialization for event in result.get_asset_materialization_events()
    )
    return {
        materialization.asset_key.to_user_string(): {
            name: value.value for name, value in materialization.metadata.items()
        }
        for materialization in materializations
    }


def test_a_run_leaves_no_backlog_and_reports_what_it_did(materialize: Materialize) -> None:
    result = materialize()

    assert result.success
    metadata = _metadata(result)
    assert metadata["app/retention/sessions"]["rows_removed"] == 30
    assert metadata["app/retention/sessions"]["rows_left"] == 0
    assert metadata["app/orphans/memories.session_id"]["rows_removed"] == 30
    assert metadata["app/vacuum"]["dead_tuples_before"] == 60
    assert metadata["app/vacuum"]["dead_tuples_after"] == 0
    always = {"rows_removed", "rows_left", "seconds", "dead_tuples_before", "dead_tuples_after"}
    assert all(always <= set(values) for name, values in metadata.items() if name.startswith("app/"))
    assert "oldest_row_left" in metadata["app/retention/sessions"]
    assert all(check.passed for check in result.get_asset_check_evaluations())
    assert {
        (check.asset_key.path[1], check.check_name) for check in result.get_asset_check_evaluations()
    } == {
        ("retention", "no_expired_rows"),
        ("retention", "guard_passed"),
        ("orphans", "no_orphaned_rows"),
        ("orphans", "guard_passed"),
        ("vacuum", "dead_rows_removed"),
        ("vacuum", "xid_age"),
    }
    gains = metadata["app/vacuum"]["gains"]
    assert isinstance(gains, dg.TableMetadataValue)
    gained = [(record.data["table"], record.data["dead_before"]) for record in gains.records]
    assert sorted(gained) == [("public.memories", 30), ("public.sessions", 30)]


def test_the_history_names_the_dagster_run(materialize: Materialize, connection: Connection) -> None:
    result = materialize()

    runs = "SELECT DISTINCT dagster_run_id FROM ops.maintenance_runs"
    assert connection.execute(runs).fetchall() == [(result.run_id,)]


def test_a_policy_that_does_not_fit_its_database_fails_alone(
    materialize: Materialize, connection: Connection
) -> None:
    wrong = POLICIES.replace("column: session_id", "column: sesion_id")

    result = materialize(wrong, raise_on_error=False)

    assert not result.success
    assert scalar(connection, "SELECT count(*) FROM memories") == 60
    assert set(_metadata(result)) >= {"app/retention/sessions", "app/vacuum"}
    failure = result.get_step_failure_events()[0].step_failure_data.error
    assert 'did you mean "session_id"?' in str(failure)


def test_a_policy_that_another_run_works_on_is_skipped(
    materialize: Materialize, connection: Connection, url: str
) -> None:
    with connect(url, "the other run") as other:
        other.execute("SELECT pg_advisory_lock(hashtextextended('ops: app/retention/sessions', 0))")

        result = materialize(raise_on_error=False)

    assert not result.success
    assert scalar(connection, "SELECT count(*) FROM sessions") == 60
    assert "the other run (pid" in str(result.get_step_failure_events()[0].step_failure_data)


DRY = {"resources": {"databases": {"config": {"dry_run": True}}}}


def test_a_dry_run_observes_and_changes_nothing(materialize: Materialize, connection: Connection) -> None:
    result = materialize(run_config=DRY)

    assert result.success
    materialized = {event.asset_key for event in result.get_asset_materialization_events()}
    assert {key.to_user_string() for key in materialized if key} == {"dagster/run_history_cleanup"}
    observed = {
        event.asset_key.to_user_string(): event.asset_observation_data.asset_observation.metadata
        for event in result.get_asset_observation_events()
        if event.asset_key
    }
    assert set(observed) == {"app/retention/sessions", "app/orphans/memories.session_id", "app/vacuum"}
    assert observed["app/retention/sessions"]["rows_eligible"].value == 30
    assert observed["app/retention/sessions"]["rows_total"].value == 60
    assert scalar(connection, "SELECT count(*) FROM sessions") == 60
    assert scalar(connection, "SELECT count(*) FROM ops.maintenance_runs") == 0


def _observed(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetObservation]:
    return {
        event.asset_key.to_user_string(): event.asset_observation_data.asset_observation
        for event in result.get_asset_observation_events()
        if event.asset_key and "tables" not in event.asset_key.path
    }


def test_a_paused_run_succeeds_materializes_nothing_and_says_so(
    materialize: Materialize, connection: Connection
) -> None:
    pauses.pause(connection, reason="replica trouble", by="ada")

    result = materialize()
    dry = materialize(run_config={"resources": {"databases": {"config": {"dry_run": True}}}})

    assert result.success
    materialized = {event.asset_key for event in result.get_asset_materialization_events()}
    assert {key.to_user_string() for key in materialized if key} == {"dagster/run_history_cleanup"}
    observed = _observed(result)
    assert set(observed) == {"app/retention/sessions", "app/orphans/memories.session_id", "app/vacuum"}
    assert {observation.metadata["outcome"].value for observation in observed.values()} == {"paused"}
    reason = str(observed["app/vacuum"].metadata["stopped_reason"].value)
    assert "replica trouble. To resume: opsctl resume --database app" in reason
    assert scalar(connection, "SELECT count(*) FROM sessions") == 60
    assert dry.success
    assert "Maintenance is paused by ada" in str(_observed(dry)["app/retention/sessions"].description)


def test_an_observed_policy_succeeds_is_never_late_and_has_no_red_check(
    materialize: Materialize, connection: Connection
) -> None:
    observe = POLICIES.replace("    retention:", "    mode: observe\n    retention:")

    result = materialize(observe)

    assert result.success
    observed = _observed(result)
    assert {observation.metadata["outcome"].value for observation in observed.values()} == {"observed"}
    assert observed["app/retention/sessions"].metadata["rows_left"].value == 30
    assert observed["app/orphans/memories.session_id"].metadata["rows_left"].value == 30
    assert all(check.passed for check in result.get_asset_check_evaluations())
    assert scalar(connection, "SELECT count(*) FROM sessions") == 60


def test_the_rows_and_size_of_the_tables_are_reported(materialize: Materialize) -> None:
    observed = {
        event.asset_key.to_user_string(): event.asset_observation_data.asset_observation.metadata
        for event in materialize().get_asset_observation_events()
        if event.asset_key
    }

    assert {"app/tables/sessions", "app/tables/memories"} == set(observed)
    assert observed["app/tables/memories"]["dagster/row_count"].value == 30
    assert observed["app/tables/memories"]["bytes"].value not in {None, 0}


@pytest.mark.parametrize(
    ("cron", "hours"),
    [("0 2 * * *", 26), ("0 * * * *", 3), ("0 2 * * 1-5", 74), ("0 2 1 * *", 31 * 24 + 2)],
)
def test_a_policy_is_overdue_two_hours_after_the_longest_time_between_nightly_runs(
    cron: str, hours: int
) -> None:
    assert assets.late_after(Schedule(cron, "UTC")) == timedelta(hours=hours)


def test_a_policy_that_needs_approval_is_overdue_reported_and_stops_no_other(
    materialize: Materialize, connection: Connection
) -> None:
    careful = POLICIES + "    guard: {max_fraction: 0.1}\n"

    result = materialize(careful, raise_on_error=False)

    assert not result.success
    (failed,) = result.get_step_failure_events()
    assert failed.step_key == "app__retention__sessions_checks"
    assert "opsctl approve" in str(failed.step_failure_data.error)
    done = {
        materialization.asset_key.to_user_string()
        for materialization in result.get_asset_materialization_events()
        if materialization.asset_key
    }
    assert done == {"app/orphans/memories.session_id", "app/vacuum", "dagster/run_history_cleanup"}
    assert scalar(connection, "SELECT count(*) FROM sessions") == 60


def test_indexes_and_advice_of_vacuum_are_tables_in_the_metadata() -> None:
    advised = {"table": "public.sessions", "reason": "too slow", "statement": "ALTER TABLE …"}
    rebuilt = {"index": "public.sessions_pkey", "action": "rebuild", "expected": None, "bytes_after": 8192}
    result = RunResult("app/vacuum", "done", "completed", examined=1, removed=0, left=0, seconds=1.0,
                    details={"advice": [advised], "indexes": [rebuilt], "tables": []})  # fmt: skip

    shown_to = metadata.metadata(VACUUM, result)

    advice, indexes = shown_to["advice"], shown_to["indexes"]
    assert isinstance(advice, dg.TableMetadataValue)
    assert isinstance(indexes, dg.TableMetadataValue)
    assert [record.data for record in advice.records] == [advised]
    assert [record.data for record in indexes.records] == [rebuilt | {"expected": ""}]

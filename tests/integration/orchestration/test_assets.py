"""Materializing an asset runs its policy; its check looks for itself."""

from collections.abc import Mapping
from datetime import timedelta

import dagster as dg
import pytest
from ruamel.yaml import YAML

from ops_pipeline.maintenance.result import RunResult
from ops_pipeline.maintenance.vacuum.kind import VACUUM
from ops_pipeline.orchestration import assets, metadata
from ops_pipeline.orchestration.dry_run import planned_policies
from ops_pipeline.orchestration.resources import MaintenanceResource
from ops_pipeline.pauses import pauses
from ops_pipeline.policies.model import Policies, Schedule
from ops_pipeline.postgres.connection import Connection, connect, scalar
from tests.integration.orchestration.conftest import CHILD, POLICIES, Materialize


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
    assert metadata["app/retention/sessions"]["rows_remaining"] == 0
    assert metadata["app/orphans/memories.session_id"]["rows_removed"] == 30
    assert metadata["app/vacuum"]["dead_tuples_before"] == 60
    assert metadata["app/vacuum"]["dead_tuples_after"] == 0
    always = {"rows_removed", "seconds", "dead_tuples_before", "dead_tuples_after"}
    assert all(always <= set(values) for name, values in metadata.items() if name.startswith("app/"))
    assert "oldest_row_remaining" in metadata["app/retention/sessions"]
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


CAREFUL = POLICIES + "    guard: {max_fraction: 0.1}\n"
DRY = {"resources": {"databases": {"config": {"dry_run": True}}}}


def _tags(instance: dg.DagsterInstance, result: dg.ExecuteInProcessResult) -> Mapping[str, str]:
    run = instance.get_run_by_id(result.run_id)
    assert run is not None
    return run.tags


def test_a_dry_run_observes_and_changes_nothing(
    materialize: Materialize, connection: Connection, instance: dg.DagsterInstance
) -> None:
    result = materialize(run_config=DRY)

    assert result.success
    assert not result.get_asset_check_evaluations()
    assert _tags(instance, result)["ops/outcome"] == "dry_run"
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
    assert observed["app/retention/sessions"].metadata["rows_remaining"].value == 30
    assert observed["app/orphans/memories.session_id"].metadata["rows_remaining"].value == 30
    assert all(check.passed for check in result.get_asset_check_evaluations())
    assert scalar(connection, "SELECT count(*) FROM sessions") == 60


def test_the_rows_and_size_of_the_tables_are_reported(materialize: Materialize) -> None:
    observed = {
        event.asset_key.to_user_string(): event.asset_observation_data.asset_observation.metadata
        for event in materialize().get_asset_observation_events()
        if event.asset_key
    }

    sessions, memories = "app/tables/app.public.sessions", "app/tables/app.public.memories"
    assert {sessions, memories} == set(observed)
    assert observed[memories]["dagster/row_count"].value == 30
    assert observed[memories]["bytes"].value not in {None, 0}
    schema = observed[sessions]["dagster/column_schema"].value
    assert isinstance(schema, dg.TableSchema)
    assert [(column.name, column.type, column.constraints.nullable) for column in schema.columns] == [
        ("id", "uuid", False),
        ("created_at", "timestamp with time zone", True),
    ]


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
    result = materialize(CAREFUL, raise_on_error=False)

    assert not result.success
    (failed,) = result.get_step_failure_events()
    assert failed.step_key == "app__retention__sessions"
    assert "opsctl approve" in str(failed.step_failure_data.error)
    done = {
        materialization.asset_key.to_user_string()
        for materialization in result.get_asset_materialization_events()
        if materialization.asset_key
    }
    assert done == {"app/orphans/memories.session_id", "app/vacuum", "dagster/run_history_cleanup"}
    assert scalar(connection, "SELECT count(*) FROM sessions") == 60


def test_waiting_for_a_person_says_what_waits_and_what_to_paste(
    materialize: Materialize,
    connection: Connection,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPS_RUNBOOK_URL", "https://docs.example.org/runbook")

    result = materialize(CAREFUL, raise_on_error=False)

    backlog, check = (check for check in result.get_asset_check_evaluations() if not check.passed)
    asset = dg.AssetKey(["app", "retention", "sessions"])
    observed = instance.fetch_observations(asset, limit=1).records[0].asset_observation
    assert observed is not None
    (failed,) = result.get_step_failure_events()
    plan = scalar(connection, "SELECT id FROM ops.plans WHERE follows IS NULL")
    assert (backlog.check_name, check.check_name) == ("no_expired_rows", "guard_passed")
    assert {backlog.severity, check.severity} == {dg.AssetCheckSeverity.WARN}
    assert observed.description is not None
    assert observed.description.startswith("Needs approval: this run would delete 30 of 60 rows")
    for shown in (check.metadata, observed.metadata):
        assert {name: shown[name].value for name in ("plan", "rows_eligible", "rows_total", "fraction")} == {
            "plan": plan,
            "rows_eligible": 30,
            "rows_total": 60,
            "fraction": 0.5,
        }
        assert isinstance(shown["oldest_row"], dg.TimestampMetadataValue)
    assert failed.step_failure_data.user_failure_data is not None
    failure = failed.step_failure_data.user_failure_data.metadata
    for shown in (backlog.metadata, check.metadata, observed.metadata, failure):
        run = "opsctl run --policy app/retention/sessions"
        assert shown["terminal"].value == f"opsctl approve {plan} && {run}"
        assert shown["runbook"] == dg.MetadataValue.url("https://docs.example.org/runbook#needs_approval")
    assert {tag: _tags(instance, result)[tag] for tag in ("ops/outcome", "ops/policy", "ops/trigger")} == {
        "ops/outcome": "needs_approval",
        "ops/policy": "app/retention/sessions",
        "ops/trigger": "ui",
    }
    pasted = YAML().load(str(check.metadata["launchpad"].value))
    assert pasted == {"resources": {"databases": {"config": {"approve": [plan]}}}}


def test_a_dry_run_fails_where_a_policy_would_be_refused(
    materialize: Materialize, connection: Connection, instance: dg.DagsterInstance
) -> None:
    connection.execute(CHILD)

    result = materialize(run_config=DRY, raise_on_error=False)

    (failed,) = result.get_step_failure_events()
    assert failed.step_failure_data.error is not None
    assert "app/retention/sessions: would not run: " in failed.step_failure_data.error.message
    assert "child.session_id" in failed.step_failure_data.error.message
    assert {tag: _tags(instance, result)[tag] for tag in ("ops/outcome", "ops/policy")} == {
        "ops/outcome": "failed",
        "ops/policy": "app/retention/sessions, app/orphans/memories.session_id, app/vacuum",
    }
    planned = planned_policies(instance, result.run_id)
    assert [name for name, policy in planned.items() if policy.refused] == ["app/retention/sessions"]
    assert scalar(connection, "SELECT count(*) FROM ops.maintenance_runs") == 0


KEEPS = """
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER keep BEFORE DELETE ON sessions FOR EACH ROW EXECUTE FUNCTION keep();
"""


def test_rows_that_remain_fail_their_policys_step(
    materialize: Materialize, connection: Connection, instance: dg.DagsterInstance
) -> None:
    connection.execute(KEEPS)

    result = materialize(raise_on_error=False)

    (failed,) = result.get_step_failure_events()
    assert failed.step_key == "app__retention__sessions"
    assert failed.step_failure_data.user_failure_data is not None
    assert failed.step_failure_data.user_failure_data.metadata["runbook"].value == (
        "http://127.0.0.1:3000/docs/runbook.md#rows-remain-after-a-run"
    )
    (backlog,) = (check for check in result.get_asset_check_evaluations() if not check.passed)
    assert backlog.severity is dg.AssetCheckSeverity.ERROR
    assert _tags(instance, result)["ops/outcome"] == "stopped"


def test_vacuum_that_a_session_blocks_is_red_and_fails_no_run(
    materialize: Materialize, url: str, instance: dg.DagsterInstance
) -> None:
    without_orphans = "\n".join(line for line in POLICIES.splitlines() if "orphans" not in line)
    with connect(url, "the other session") as other, other.transaction():
        other.execute("SELECT pg_current_xact_id()")

        pid = other.info.backend_pid
        result = materialize(without_orphans)

    assert result.success
    (observed,) = (
        observation
        for observation in result.get_asset_observation_events()
        if observation.asset_key == dg.AssetKey(["app", "vacuum"])
    )
    shown = observed.asset_observation_data.asset_observation.metadata
    assert f"SELECT pg_terminate_backend({pid});" in str(shown["sql"].value).splitlines()
    assert list(shown)[:2] == ["outcome", "sql"], "what helps comes first"
    assert shown["in_dagster"].value == (
        "sql says what is in the way and how to end it. Find out whose it is, end it, then press "
        '"Materialize" on the asset\'s page.'
    )
    assert "rows_remaining" not in shown, "tables are no rows"
    (check,) = (check for check in result.get_asset_check_evaluations() if not check.passed)
    assert (check.check_name, check.severity) == ("dead_rows_removed", dg.AssetCheckSeverity.ERROR)
    assert {tag: _tags(instance, result)[tag] for tag in ("ops/outcome", "ops/policy")} == {
        "ops/outcome": "stopped",
        "ops/policy": "app/vacuum",
    }


def test_a_check_is_evaluated_alone_and_its_policy_does_not_run(
    materialize: Materialize, connection: Connection, policies: Policies, instance: dg.DagsterInstance
) -> None:
    (sessions, *_) = assets.policy_assets(policies.databases[0])
    check = dg.AssetCheckKey(assets.key(policies.databases[0].policies[0]), "no_expired_rows")

    result = dg.materialize(
        [sessions],
        selection=dg.AssetSelection.checks(check),
        instance=instance,
        resources={"databases": MaintenanceResource()},
    )

    assert result.success
    assert [(one.check_name, one.passed) for one in result.get_asset_check_evaluations()] == [
        ("no_expired_rows", False)
    ]
    assert scalar(connection, "SELECT count(*) FROM sessions") == 60
    assert "ops/outcome" not in _tags(instance, result)


def test_indexes_and_advice_of_vacuum_are_tables_in_the_metadata() -> None:
    advised = {"table": "public.sessions", "reason": "too slow", "statement": "ALTER TABLE …"}
    rebuilt = {"index": "public.sessions_pkey", "action": "rebuild", "expected": None, "bytes_after": 8192}
    result = RunResult("app/vacuum", "done", "completed", scanned=1, removed=0, remaining=0, seconds=1.0,
                    details={"advice": [advised], "indexes": [rebuilt], "tables": []})  # fmt: skip

    shown_to = metadata.metadata(VACUUM, result)

    advice, indexes = shown_to["advice"], shown_to["indexes"]
    assert isinstance(advice, dg.TableMetadataValue)
    assert isinstance(indexes, dg.TableMetadataValue)
    assert [record.data for record in advice.records] == [advised]
    assert [record.data for record in indexes.records] == [rebuilt | {"expected": ""}]

"""A run whose machine is gone is failed and can be retried; a running one is left alone."""

from datetime import timedelta

import dagster as dg
import pytest

from ops_pipeline.maintenance import history
from ops_pipeline.orchestration import lost_runs
from ops_pipeline.orchestration.definitions import build_definitions
from ops_pipeline.orchestration.resources import MaintenanceResource
from ops_pipeline.policies.model import Policies
from ops_pipeline.postgres.advisory_lock import advisory_lock, run_lock, share_lock
from ops_pipeline.postgres.connection import Connection, connect


@pytest.fixture
def run(
    instance: dg.DagsterInstance,
    policies: Policies,
    application: Connection,
    url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> dg.DagsterRun:
    """A run with the status STARTED and no event for long enough."""
    monkeypatch.setenv("OPS_DATABASE_URL", url)
    monkeypatch.setattr(lost_runs, "SILENT_FOR", timedelta(0))
    job = build_definitions(policies).resolve_job_def("nightly_app")
    return instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)


def _status(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRunStatus:
    stored = instance.get_run_by_id(run.run_id)
    assert stored
    return stored.status


def test_a_run_without_a_sign_of_life_is_failed_and_its_policies_are_interrupted(
    run: dg.DagsterRun, instance: dg.DagsterInstance, policies: Policies, application: Connection
) -> None:
    history.begin(application, "app/retention/sessions", run.run_id)

    assert lost_runs.end_if_lost(instance, MaintenanceResource(), policies, run)

    assert _status(instance, run) is dg.DagsterRunStatus.FAILURE
    outcomes = application.execute("SELECT outcome FROM ops.maintenance_runs").fetchall()
    assert outcomes == [("interrupted",)]
    said = [event.message for event in instance.all_logs(run.run_id) if event.is_dagster_event]
    assert any("no session holds its lock in app" in message for message in said)


def test_a_step_that_holds_the_runs_lock_keeps_it_alive(
    run: dg.DagsterRun, instance: dg.DagsterInstance, policies: Policies, url: str
) -> None:
    with connect(url, "a step") as step:
        share_lock(step, run_lock(run.run_id))

        assert not lost_runs.end_if_lost(instance, MaintenanceResource(), policies, run)

    assert _status(instance, run) is dg.DagsterRunStatus.STARTED


def test_another_runs_lock_is_no_sign_of_life(
    run: dg.DagsterRun, instance: dg.DagsterInstance, policies: Policies, url: str
) -> None:
    with connect(url, "another run") as other, advisory_lock(other, "ops: app/retention/sessions"):
        share_lock(other, run_lock("another"))

        assert lost_runs.end_if_lost(instance, MaintenanceResource(), policies, run)


def test_a_run_with_a_recent_event_is_left_alone(
    run: dg.DagsterRun,
    instance: dg.DagsterInstance,
    policies: Policies,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lost_runs, "SILENT_FOR", timedelta(minutes=2))
    instance.report_engine_event("a step starts", run)

    assert not lost_runs.end_if_lost(instance, MaintenanceResource(), policies, run)


def test_a_run_is_left_alone_while_its_database_is_unreachable(
    run: dg.DagsterRun,
    instance: dg.DagsterInstance,
    policies: Policies,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPS_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/app")

    assert not lost_runs.end_if_lost(instance, MaintenanceResource(), policies, run)


def test_the_sensor_leaves_runs_of_others_alone(
    instance: dg.DagsterInstance, policies: Policies, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lost_runs, "SILENT_FOR", timedelta(0))

    @dg.job
    def of_another_team() -> None: ...

    run = instance.create_run_for_job(of_another_team, status=dg.DagsterRunStatus.STARTED)

    assert not lost_runs.end_if_lost(instance, MaintenanceResource(), policies, run)

"""A run that ended otherwise than by its steps is in the history with its cause."""

import sys
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import AssetObservationData, EngineEventData
from dagster._utils.error import serializable_error_info_from_exc_info

from ops_pipeline.maintenance import history, kinds
from ops_pipeline.orchestration import run_outcome
from ops_pipeline.orchestration.definitions import build_definitions
from ops_pipeline.policies.file import PolicyError
from ops_pipeline.policies.model import Policies
from ops_pipeline.postgres.connection import Connection, scalar
from tests.integration.orchestration.conftest import POLICIES, Materialize
from tests.integration.orchestration.receiver import Receiver
from tests.integration.orchestration.reports import report

HISTORY = """
SELECT policy, outcome, stopped_reason, started_at < finished_at OR started_at = %s
FROM ops.maintenance_runs WHERE dagster_run_id = %s ORDER BY policy
"""


def _created(instance: dg.DagsterInstance, policies: Policies) -> dg.DagsterRun:
    job = build_definitions(policies).resolve_job_def("nightly_app")
    return instance.create_run_for_job(job, tags={run_outcome.OUTCOME: run_outcome.NEEDS_APPROVAL})


def _tags(instance: dg.DagsterInstance, run_id: str) -> dict[str, str]:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return {tag: run.tags.get(tag, "") for tag in (run_outcome.OUTCOME, run_outcome.POLICY)}


def test_a_run_that_cannot_start_is_recorded_and_reported_with_its_cause(
    materialize: Materialize,
    instance: dg.DagsterInstance,
    policies: Policies,
    receiver: Receiver,
    application: Connection,
    tmp_path: Path,
) -> None:
    run = _created(instance, policies)
    broken = tmp_path / "broken.yaml"
    broken.write_text(POLICIES.replace("30 days", "30 dys"))
    try:
        kinds.load(broken)
    except PolicyError:
        error = EngineEventData.engine_error(serializable_error_info_from_exc_info(sys.exc_info()))
        instance.report_engine_event("Could not load job definition.", run, error)
    instance.report_run_failed(run)
    record = instance.get_run_record_by_id(run.run_id)
    assert record is not None
    later = materialize().run_id

    report(instance, policies)
    report(instance, policies)

    (problem, _) = (message["problems"][0] for message in receiver.got)
    assert problem["reason"].startswith("Could not load job definition. ")
    assert "30 dys" in problem["reason"]
    rows = application.execute(HISTORY, (record.create_timestamp, run.run_id)).fetchall()
    assert rows == [
        (policy.name, "failed", problem["reason"], True)
        for _, policy in sorted(policies, key=lambda each: each[1].name)
    ]
    names = [policy.name for _, policy in policies]
    assert _tags(instance, run.run_id) == {"ops/outcome": "failed", "ops/policy": ", ".join(names)}
    newest = history.last(application, "app/retention/sessions")
    assert newest is not None
    assert newest.outcome == "done", f"that of {later}"


def _report(instance: dg.DagsterInstance, run: dg.DagsterRun, policy: str, outcome: str) -> None:
    """As the step of a policy does at its end."""
    about = {"outcome": dg.MetadataValue.text(outcome)}
    observed = AssetObservationData(dg.AssetObservation(dg.AssetKey(policy.split("/")), metadata=about))
    event = dg.DagsterEvent("ASSET_OBSERVATION", run.job_name, event_specific_data=observed)
    instance.report_dagster_event(event, run.run_id)
    run_outcome.record(instance, run.run_id)


def test_a_run_is_not_done_before_each_policy_has_ended(
    instance: dg.DagsterInstance, policies: Policies
) -> None:
    run = _created(instance, policies)
    first, second, third = (policy.name for _, policy in policies)

    seen = []
    for policy, outcome in ((second, "observed"), (first, "done"), (third, "done")):
        _report(instance, run, policy, outcome)
        seen.append(_tags(instance, run.run_id))

    assert seen == [
        {"ops/outcome": "not_ended", "ops/policy": f"{second}, {first}, {third}"},
        {"ops/outcome": "not_ended", "ops/policy": f"{second}, {third}"},
        {"ops/outcome": "observed", "ops/policy": second},
    ]


def test_a_run_that_needs_approval_says_so_before_its_other_policies_have_ended(
    instance: dg.DagsterInstance, policies: Policies
) -> None:
    run = _created(instance, policies)
    first, second, third = (policy.name for _, policy in policies)

    _report(instance, run, first, "needs_approval")

    assert _tags(instance, run.run_id) == {
        "ops/outcome": "needs_approval",
        "ops/policy": f"{first}, {second}, {third}",
    }


@pytest.mark.usefixtures("materialize")
def test_the_tags_of_a_terminated_run_name_the_policies_that_are_not_done(
    instance: dg.DagsterInstance, policies: Policies
) -> None:
    run = _created(instance, policies)
    first, second, third = (policy.name for _, policy in policies)
    _report(instance, run, first, "done")
    instance.report_run_canceled(run)

    report(instance, policies)

    assert _tags(instance, run.run_id) == {"ops/outcome": "canceled", "ops/policy": f"{second}, {third}"}


def test_a_terminated_run_is_canceled_and_nobody_is_told(
    instance: dg.DagsterInstance,
    policies: Policies,
    receiver: Receiver,
    application: Connection,
    materialize: Materialize,
) -> None:
    run = _created(instance, policies)
    instance.report_run_canceled(run)

    assert report(instance, policies) == "No run to report"

    assert receiver.asked == 0
    assert _tags(instance, run.run_id)["ops/outcome"] == "canceled"
    assert scalar(application, "SELECT count(*) FROM ops.maintenance_runs") == 0


def test_a_dry_run_that_fails_is_not_in_the_history_and_nobody_is_told(
    materialize: Materialize,
    instance: dg.DagsterInstance,
    receiver: Receiver,
    tmp_path: Path,
    application: Connection,
) -> None:
    config = {"resources": {"databases": {"config": {"dry_run": True}}}}
    absent = POLICIES.replace("{table: memories,", "{table: absent,")
    assert not materialize(absent, raise_on_error=False, run_config=config).success

    told = report(instance, kinds.load(tmp_path / "policies.yaml"))

    assert (told, receiver.asked) == ("No run to report", 0)
    assert scalar(application, "SELECT count(*) FROM ops.maintenance_runs") == 0


def test_a_failure_that_its_step_could_not_record_is_recorded(
    materialize: Materialize, instance: dg.DagsterInstance, policies: Policies, application: Connection
) -> None:
    absent = POLICIES.replace("column: created_at", "column: absent")
    run_id = materialize(absent, raise_on_error=False).run_id
    application.execute("DELETE FROM ops.maintenance_runs WHERE policy = 'app/retention/sessions'")

    report(instance, policies)

    outcomes = "SELECT policy, outcome FROM ops.maintenance_runs WHERE dagster_run_id = %s ORDER BY policy"
    assert application.execute(outcomes, (run_id,)).fetchall() == [
        ("app/orphans/memories.session_id", "done"),
        ("app/retention/sessions", "failed"),
        ("app/vacuum", "done"),
    ]

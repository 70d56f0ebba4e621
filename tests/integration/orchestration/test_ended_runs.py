"""An ended run is reported once, by its outcome, even while database or receiver are away."""

from pathlib import Path

import dagster as dg
import msgspec
import pytest

from ops_pipeline.maintenance import kinds
from ops_pipeline.orchestration import alert, delivery, ended_runs
from ops_pipeline.orchestration.resources import MaintenanceResource
from ops_pipeline.policies.model import Policies
from ops_pipeline.postgres.connection import Connection, connect, scalar
from tests.integration.orchestration.conftest import CHILD, POLICIES, WAITING, Materialize
from tests.integration.orchestration.receiver import Receiver
from tests.integration.orchestration.reports import report

EVENTS = (
    "SELECT action, status, created_by, details ->> 'headline', resource_id::text FROM audit_logs"
    " WHERE action = 'run.failed' ORDER BY created_at"
)


def test_a_failed_run_is_an_audit_event_by_system(
    failed_run: str, instance: dg.DagsterInstance, policies: Policies, application: Connection
) -> None:
    assert report(instance, policies) == f"Reported: {failed_run}"

    headline = "Maintenance of app failed: app/retention/sessions"
    assert application.execute(EVENTS).fetchall() == [
        ("run.failed", "failure", "system", headline, failed_run)
    ]


def test_a_failure_is_reported_even_without_an_audit_log(
    failed_run: str,
    instance: dg.DagsterInstance,
    policies: Policies,
    application: Connection,
    receiver: Receiver,
) -> None:
    application.execute("ALTER TABLE audit_logs RENAME TO events_before")

    assert report(instance, policies) == f"Reported: {failed_run}"

    assert [message["run_id"] for message in receiver.got] == [failed_run]


def test_an_unreachable_receiver_is_retried_in_the_next_tick_and_the_event_is_stored_once(
    failed_run: str,
    instance: dg.DagsterInstance,
    policies: Policies,
    receiver: Receiver,
    application: Connection,
) -> None:
    receiver.answers = [503] * delivery.TRIES
    progress = ended_runs.Progress(0)

    assert "will be reported again: the message could not be posted: 127.0.0.1," in report(
        instance, policies, progress
    )
    assert len(application.execute(EVENTS).fetchall()) == 1, "one way does not wait for the other"
    assert report(instance, policies, progress) == f"Reported: {failed_run}"

    assert len(receiver.got) == 1
    assert len(application.execute(EVENTS).fetchall()) == 1


def test_a_failure_is_reported_even_while_the_database_is_unreachable(
    failed_run: str,
    instance: dg.DagsterInstance,
    policies: Policies,
    receiver: Receiver,
    url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    progress = ended_runs.Progress(0)
    with monkeypatch.context() as away:
        away.setenv("OPS_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/app")
        assert "it cannot be stored in the audit log" in report(instance, policies, progress)

    report(instance, policies, progress)

    assert len(receiver.got) == 1
    with connect(url, "test") as connection:
        assert len(connection.execute(EVENTS).fetchall()) == 1


def test_a_run_that_is_retried_automatically_is_not_reported(
    failed_run: str,
    instance: dg.DagsterInstance,
    policies: Policies,
    receiver: Receiver,
    application: Connection,
) -> None:
    instance.add_run_tags(failed_run, {alert.WILL_RETRY: "true"})

    report(instance, policies)

    assert receiver.asked == 0
    assert len(application.execute(EVENTS).fetchall()) == 1


def test_a_run_that_succeeds_is_not_reported(
    materialize: Materialize, instance: dg.DagsterInstance, policies: Policies, receiver: Receiver
) -> None:
    materialize()

    assert report(instance, policies) == "No run to report"
    assert receiver.asked == 0


WITHOUT_ORPHANS = "\n".join(line for line in POLICIES.splitlines() if "orphans" not in line)


def test_a_run_that_needs_approval_has_its_own_event_and_the_commands(
    materialize: Materialize,
    instance: dg.DagsterInstance,
    policies: Policies,
    receiver: Receiver,
    application: Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPS_DAGSTER_URL", "https://ops.example.com")
    run_id = materialize(WAITING, raise_on_error=False).run_id

    assert report(instance, policies) == f"Reported: {run_id}"

    (message,) = receiver.got
    assert message["event"] == "maintenance_needs_approval"
    assert message["headline"].startswith("Maintenance of app needs approval: app/retention/sessions")
    plan = scalar(application, "SELECT id FROM ops.plans WHERE policy = 'app/retention/sessions'")
    (problem,) = message["problems"]
    assert problem["state"] == "needs_approval"
    assert problem["terminal"] == f"opsctl approve {plan} && opsctl run --policy app/retention/sessions"
    assert message["run_url"].startswith("https://ops.example.com/runs/")
    actions = application.execute("SELECT action FROM audit_logs WHERE created_by = 'system'").fetchall()
    assert ("run.needs_approval",) in actions
    assert ("run.failed",) not in actions


def test_a_failure_beside_a_plan_that_waits_is_a_failure_and_names_both(
    materialize: Materialize, instance: dg.DagsterInstance, tmp_path: Path, receiver: Receiver
) -> None:
    materialize(WAITING.replace("{table: memories,", "{table: absent,"), raise_on_error=False)

    report(instance, kinds.load(tmp_path / "policies.yaml"))

    (message,) = receiver.got
    assert message["event"] == "maintenance_failed"
    assert message["headline"] == (
        "Maintenance of app failed: app/orphans/absent.session_id; needs approval: app/retention/sessions"
    )


def test_rows_that_remain_are_reported_as_such(
    materialize: Materialize,
    instance: dg.DagsterInstance,
    policies: Policies,
    receiver: Receiver,
    application: Connection,
) -> None:
    application.execute(
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        "CREATE TRIGGER keep BEFORE DELETE ON sessions FOR EACH ROW EXECUTE FUNCTION keep()"
    )
    materialize(raise_on_error=False)

    report(instance, policies)

    (message,) = receiver.got
    assert message["event"] == "maintenance_rows_remain"
    assert message["headline"] == "Maintenance of app stopped with rows remaining: app/retention/sessions"
    (problem,) = message["problems"]
    assert "rows of" in problem["reason"]
    assert problem["runbook"].endswith("#rows-remain-after-a-run")


def test_vacuum_that_a_session_blocks_is_reported_with_the_session_though_the_run_succeeds(
    materialize: Materialize, instance: dg.DagsterInstance, policies: Policies, receiver: Receiver, url: str
) -> None:
    with connect(url, "the other session") as other, other.transaction():
        other.execute("SELECT pg_current_xact_id()")
        result = materialize(WITHOUT_ORPHANS)
        assert result.success
        pid = other.info.backend_pid

        report(instance, policies)

    (message,) = receiver.got
    assert message["event"] == "maintenance_vacuum_incomplete"
    assert message["headline"] == "Maintenance of app left VACUUM incomplete: app/vacuum"
    (problem,) = message["problems"]
    assert f"pid {pid}" in problem["reason"]
    assert "the other session" in problem["reason"]


def test_a_new_sensor_reports_only_failures_after_its_start(
    failed_run: str, instance: dg.DagsterInstance, policies: Policies, receiver: Receiver
) -> None:
    sensor = ended_runs.definitions(policies).sensors
    assert sensor
    (reporting,) = sensor
    assert isinstance(reporting, dg.SensorDefinition)
    with dg.build_sensor_context(
        instance=instance, resources={"databases": MaintenanceResource()}
    ) as context:
        reporting(context)
        reporting(context)

    assert receiver.asked == 0


def test_runs_are_reported_in_the_order_in_which_they_ended(
    materialize: Materialize,
    instance: dg.DagsterInstance,
    policies: Policies,
    receiver: Receiver,
    application: Connection,
    url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ended_runs, "PAGE", 2)
    with connect(url, "the other session") as other, other.transaction():
        other.execute("SELECT pg_current_xact_id()")
        succeeded = materialize(WITHOUT_ORPHANS).run_id
    application.execute(CHILD)
    runs = [succeeded, *(materialize(raise_on_error=False).run_id for _ in range(2))]
    progress = ended_runs.Progress(0)
    receiver.answers = [503] * delivery.TRIES

    assert report(instance, policies, progress).startswith(f"Run {succeeded} will be reported again")
    restarted = msgspec.json.decode(msgspec.json.encode(progress), type=ended_runs.Progress)
    assert report(instance, policies, restarted) == f"Reported: {', '.join(runs)}"

    assert [message["run_id"] for message in receiver.got] == runs

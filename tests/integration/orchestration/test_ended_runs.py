"""An ended run is reported once, even while database or receiver are away; a good one by a heartbeat."""

import logging
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import dagster as dg
import msgspec
import pytest
from dagster._core.events import EngineEventData
from dagster._utils.error import serializable_error_info_from_exc_info

from ops_pipeline import settings
from ops_pipeline.maintenance import history, kinds
from ops_pipeline.orchestration import alert, delivery, ended_runs, heartbeat, run_outcome, webhook
from ops_pipeline.orchestration.definitions import build_definitions
from ops_pipeline.orchestration.resources import MaintenanceResource
from ops_pipeline.pauses import pauses
from ops_pipeline.policies.file import PolicyError
from ops_pipeline.policies.model import Policies
from ops_pipeline.postgres.connection import Connection, connect, scalar
from tests.integration.orchestration.conftest import POLICIES, Materialize
from tests.integration.orchestration.receiver import SECRET, Receiver, receiving

CHILD = """
CREATE TABLE child (session_id uuid REFERENCES sessions);
INSERT INTO child SELECT id FROM sessions, generate_series(1, 500)
"""
"""A large table that refers to sessions without an index: retention is refused."""
EVENTS = (
    "SELECT action, status, created_by, details ->> 'headline', resource_id::text FROM audit_logs"
    " WHERE action = 'run.failed' ORDER BY created_at"
)


@pytest.fixture
def heartbeats(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """The receiver of heartbeats, with an address for each database."""
    with receiving() as made:
        monkeypatch.setenv("OPS_HEARTBEAT_URL", made.url + "/{database}")
        yield made


@pytest.fixture
def failed_run(materialize: Materialize, application: Connection) -> str:
    application.execute(CHILD)
    return materialize(raise_on_error=False).run_id


def _report(
    instance: dg.DagsterInstance, policies: Policies, progress: ended_runs.Progress | None = None
) -> str:
    return ended_runs.report(instance, MaintenanceResource(), policies, progress or ended_runs.Progress(0))


def test_a_failed_run_is_an_audit_event_by_system(
    failed_run: str, instance: dg.DagsterInstance, policies: Policies, application: Connection
) -> None:
    assert _report(instance, policies) == f"Reported: {failed_run}"

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

    assert _report(instance, policies) == f"Reported: {failed_run}"

    assert [message["run_id"] for message in receiver.got] == [failed_run]


NAMED = """
version: 1
databases:
  app:
    url: ${OPS_DATABASE_URL}
    guard: {max_fraction: 0.1}
    retention: [{table: sessions, column: created_at, keep: 30 days, name: short}]
    orphans: [{table: absent, column: id, references: sessions.id}]
"""


def test_a_failed_policy_is_reported_by_its_name(
    materialize: Materialize, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    run_id = materialize(NAMED, raise_on_error=False).run_id
    record = instance.get_run_record_by_id(run_id)
    assert record is not None

    failed = alert.alert_of(instance, kinds.load(tmp_path / "policies.yaml"), record)

    assert failed is not None
    assert {step.step for step in failed.problems} == {
        "app/orphans/absent.id",
        "app/retention/sessions:short",
    }


def test_a_receiver_that_fails_twice_gets_it_once(
    failed_run: str, instance: dg.DagsterInstance, policies: Policies, receiver: Receiver
) -> None:
    receiver.answers = [500, 429]
    progress = ended_runs.Progress(0)

    _report(instance, policies, progress)
    _report(instance, policies, progress)

    assert receiver.asked == 3
    (message,) = receiver.got
    assert message["run_id"] == failed_run
    assert message["databases"] == ["app"]
    assert message["run_url"] == f"http://127.0.0.1:3000/runs/{failed_run}"
    assert message["event"] == "maintenance_failed"
    (failed,) = message["problems"]
    assert (failed["policy"], failed["state"]) == ("app/retention/sessions", "failed")
    assert "refers to public.sessions" in failed["reason"]
    assert "Every committed batch is kept" in message["safe"]
    assert "opsctl run" in message["do"]


def test_an_unreachable_receiver_is_retried_in_the_next_tick_and_the_event_is_stored_once(
    failed_run: str,
    instance: dg.DagsterInstance,
    policies: Policies,
    receiver: Receiver,
    application: Connection,
) -> None:
    receiver.answers = [503] * delivery.TRIES
    progress = ended_runs.Progress(0)

    assert "will be reported again: the message could not be posted: 127.0.0.1," in _report(
        instance, policies, progress
    )
    assert len(application.execute(EVENTS).fetchall()) == 1, "one way does not wait for the other"
    assert _report(instance, policies, progress) == f"Reported: {failed_run}"

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
        assert "it cannot be stored in the audit log" in _report(instance, policies, progress)

    _report(instance, policies, progress)

    assert len(receiver.got) == 1
    with connect(url, "test") as connection:
        assert len(connection.execute(EVENTS).fetchall()) == 1


def test_a_message_that_the_receiver_refuses_is_not_retried(
    failed_run: str, instance: dg.DagsterInstance, policies: Policies, receiver: Receiver
) -> None:
    receiver.answers = [404]
    progress = ended_runs.Progress(0)

    assert "will be reported again: 127.0.0.1 refused what was sent" in _report(instance, policies, progress)
    assert _report(instance, policies, progress) == f"Reported: {failed_run}"

    assert receiver.asked == 1


def test_delivery_is_given_up_after_a_day(
    failed_run: str,
    instance: dg.DagsterInstance,
    policies: Policies,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ended_runs, "GIVE_UP_AFTER", timedelta(0))
    receiver.answers = [503] * delivery.TRIES
    progress = ended_runs.Progress(0)

    assert _report(instance, policies, progress).startswith("Reported:")
    assert _report(instance, policies, progress) == "No run to report"


def test_a_run_that_is_retried_automatically_is_not_reported(
    failed_run: str,
    instance: dg.DagsterInstance,
    policies: Policies,
    receiver: Receiver,
    application: Connection,
) -> None:
    instance.add_run_tags(failed_run, {alert.WILL_RETRY: "true"})

    _report(instance, policies)

    assert receiver.asked == 0
    assert len(application.execute(EVENTS).fetchall()) == 1


def test_a_run_that_succeeds_is_not_reported(
    materialize: Materialize, instance: dg.DagsterInstance, policies: Policies, receiver: Receiver
) -> None:
    materialize()

    assert _report(instance, policies) == "No run to report"
    assert receiver.asked == 0


WITHOUT_ORPHANS = "\n".join(line for line in POLICIES.splitlines() if "orphans" not in line)
WAITING = POLICIES.replace("url:", "guard: {max_fraction: 0.1}\n    url:")


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

    assert _report(instance, policies) == f"Reported: {run_id}"

    (message,) = receiver.got
    assert message["event"] == "maintenance_needs_approval"
    assert message["headline"].startswith("Maintenance of app needs approval: app/retention/sessions")
    plan = scalar(application, "SELECT id FROM ops.plans WHERE policy = 'app/retention/sessions'")
    (problem,) = message["problems"]
    assert problem["state"] == "needs_approval"
    assert problem["terminal"] == f"opsctl approve {plan} && opsctl run"
    assert message["run_url"].startswith("https://ops.example.com/runs/")
    actions = application.execute("SELECT action FROM audit_logs WHERE created_by = 'system'").fetchall()
    assert ("run.needs_approval",) in actions
    assert ("run.failed",) not in actions


def test_a_failure_beside_a_plan_that_waits_is_a_failure_and_names_both(
    materialize: Materialize, instance: dg.DagsterInstance, tmp_path: Path, receiver: Receiver
) -> None:
    materialize(WAITING.replace("{table: memories,", "{table: absent,"), raise_on_error=False)

    _report(instance, kinds.load(tmp_path / "policies.yaml"))

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

    _report(instance, policies)

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

        _report(instance, policies)

    (message,) = receiver.got
    assert message["event"] == "maintenance_vacuum_incomplete"
    assert message["headline"] == "Maintenance of app left VACUUM incomplete: app/vacuum"
    (problem,) = message["problems"]
    assert f"pid {pid}" in problem["reason"]
    assert "the other session" in problem["reason"]


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

    assert _report(instance, policies, progress).startswith(f"Run {succeeded} will be reported again")
    restarted = msgspec.json.decode(msgspec.json.encode(progress), type=ended_runs.Progress)
    assert _report(instance, policies, restarted) == f"Reported: {', '.join(runs)}"

    assert [message["run_id"] for message in receiver.got] == runs


@pytest.mark.parametrize("code", [301, 302, 307, 308])
def test_a_redirect_is_a_wrong_url_reported_once_and_not_retried(
    failed_run: str, instance: dg.DagsterInstance, policies: Policies, receiver: Receiver, code: int
) -> None:
    receiver.answers = [code] * 10
    progress = ended_runs.Progress(0)

    assert f"answered {code}, a redirect: OPS_WEBHOOK_URL is wrong" in _report(instance, policies, progress)
    assert _report(instance, policies, progress) == f"Reported: {failed_run}"
    assert _report(instance, policies, progress) == "No run to report"

    assert receiver.asked == 1


@pytest.mark.parametrize("code", [302, 404, 503])
def test_no_message_and_no_log_contains_the_url(
    failed_run: str,
    instance: dg.DagsterInstance,
    policies: Policies,
    receiver: Receiver,
    caplog: pytest.LogCaptureFixture,
    code: int,
) -> None:
    caplog.set_level(logging.DEBUG)
    receiver.answers = [code] * 4
    receiver.says = "The requested URL PATH was not found"
    progress = ended_runs.Progress(0)

    said = [_report(instance, policies, progress) for _ in range(2)]

    assert str(code) in said[0]
    assert SECRET not in "\n".join([*said, caplog.text])


def test_the_receivers_reason_is_told(
    failed_run: str, instance: dg.DagsterInstance, policies: Policies, receiver: Receiver
) -> None:
    receiver.answers, receiver.says = [400], "invalid_blocks"

    assert "(400: invalid_blocks)" in _report(instance, policies)


def test_each_good_run_calls_the_heartbeat_of_its_database_once(
    materialize: Materialize, instance: dg.DagsterInstance, policies: Policies, heartbeats: Receiver
) -> None:
    materialize()
    progress = ended_runs.Progress(0)

    _report(instance, policies, progress)
    _report(instance, policies, progress)

    assert heartbeats.called == [f"/hook/{SECRET}/app"]


def test_a_paused_run_calls_no_heartbeat(
    materialize: Materialize,
    instance: dg.DagsterInstance,
    policies: Policies,
    heartbeats: Receiver,
    application: Connection,
) -> None:
    pauses.pause(application, reason="a migration", by="ada")
    assert materialize().success

    assert _report(instance, policies) == "No run to report"

    assert heartbeats.asked == 0


def test_a_run_of_some_policies_calls_no_heartbeat(
    materialize: Materialize, instance: dg.DagsterInstance, policies: Policies, heartbeats: Receiver
) -> None:
    job = build_definitions(policies).resolve_job_def("nightly_app")
    assert job.execute_in_process(
        instance=instance, asset_selection=[dg.AssetKey(policies.databases[0].policies[0].identity.path)]
    ).success

    assert _report(instance, policies) == "No run to report"

    assert heartbeats.asked == 0


def test_opsctl_calls_each_address_once_and_tells_what_was_not_accepted(
    heartbeats: Receiver, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert heartbeat.call_all(settings.load(), ["app", "a/b"]) == []
    assert heartbeats.called == [f"/hook/{SECRET}/app", f"/hook/{SECRET}/a%2Fb"]

    monkeypatch.setenv("OPS_HEARTBEAT_URL", receiver.url)
    receiver.answers = [302]
    (problem,) = heartbeat.call_all(settings.load(), ["app", "other"])
    assert problem.startswith("The heartbeat was not accepted: 127.0.0.1 answered 302, a redirect")
    assert SECRET not in problem
    assert receiver.asked == 1


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_run_that_fails_and_a_dry_run_call_no_heartbeat(
    materialize: Materialize,
    instance: dg.DagsterInstance,
    policies: Policies,
    heartbeats: Receiver,
    dry_run: bool,
) -> None:
    config = {"resources": {"databases": {"config": {"dry_run": dry_run}}}}
    materialize(WAITING, raise_on_error=False, run_config=config)

    _report(instance, policies)

    assert heartbeats.asked == 0


def test_a_heartbeat_that_is_not_accepted_is_sent_again_and_delays_no_message(
    materialize: Materialize,
    failed_run: str,
    instance: dg.DagsterInstance,
    policies: Policies,
    heartbeats: Receiver,
    receiver: Receiver,
    application: Connection,
) -> None:
    application.execute("DROP TABLE child")
    materialize()
    heartbeats.answers = [503]
    progress = ended_runs.Progress(0)

    said = _report(instance, policies, progress)
    restarted = msgspec.json.decode(msgspec.json.encode(progress), type=ended_runs.Progress)
    _report(instance, policies, restarted)

    assert "The heartbeat of app will be sent again: 127.0.0.1, the host of OPS_HEARTBEAT_URL" in said
    assert SECRET not in said
    assert len(receiver.got) == 1
    assert len(heartbeats.called) == 1


def test_a_heartbeat_that_is_refused_is_told_once(
    materialize: Materialize, instance: dg.DagsterInstance, policies: Policies, heartbeats: Receiver
) -> None:
    materialize()
    heartbeats.answers = [404] * 3
    progress = ended_runs.Progress(0)

    assert "The heartbeat of app was not accepted" in _report(instance, policies, progress)
    assert _report(instance, policies, progress) == "No run to report"
    assert heartbeats.asked == 1


def test_slack_gets_a_message_in_its_own_format(
    failed_run: str,
    instance: dg.DagsterInstance,
    policies: Policies,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPS_WEBHOOK_FORMAT", "slack")

    _report(instance, policies)

    (message,) = receiver.got
    assert message["text"] == "Maintenance of app failed: app/retention/sessions"
    texts = [block["text"]["text"] for block in message["blocks"]]
    assert all(block["text"]["type"] == "mrkdwn" for block in message["blocks"])
    assert any("What is safe" in text for text in texts)
    assert any(f"/runs/{failed_run}|" in text for text in texts)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://hooks.slack.com/services/T0/B0/x", "slack"),
        ("https://example.org/hooks.slack.com", "json"),
        ("https://alerts.example.org/in", "json"),
    ],
)
def test_the_host_of_the_url_decides_the_format(url: str, expected: str) -> None:
    assert webhook.format_of(url) == expected


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

    _report(instance, policies)
    _report(instance, policies)

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


def test_a_terminated_run_is_canceled_and_nobody_is_told(
    instance: dg.DagsterInstance,
    policies: Policies,
    receiver: Receiver,
    application: Connection,
    materialize: Materialize,
) -> None:
    run = _created(instance, policies)
    instance.report_run_canceled(run)

    assert _report(instance, policies) == "No run to report"

    assert receiver.asked == 0
    assert _tags(instance, run.run_id)["ops/outcome"] == "canceled"
    assert scalar(application, "SELECT count(*) FROM ops.maintenance_runs") == 0


def test_a_dry_run_that_fails_is_not_in_the_history(
    materialize: Materialize, instance: dg.DagsterInstance, tmp_path: Path, application: Connection
) -> None:
    config = {"resources": {"databases": {"config": {"dry_run": True}}}}
    absent = POLICIES.replace("{table: memories,", "{table: absent,")
    assert not materialize(absent, raise_on_error=False, run_config=config).success

    _report(instance, kinds.load(tmp_path / "policies.yaml"))

    assert scalar(application, "SELECT count(*) FROM ops.maintenance_runs") == 0


def test_a_failure_that_its_step_could_not_record_is_recorded(
    materialize: Materialize, instance: dg.DagsterInstance, policies: Policies, application: Connection
) -> None:
    absent = POLICIES.replace("column: created_at", "column: absent")
    run_id = materialize(absent, raise_on_error=False).run_id
    application.execute("DELETE FROM ops.maintenance_runs WHERE policy = 'app/retention/sessions'")

    _report(instance, policies)

    outcomes = "SELECT policy, outcome FROM ops.maintenance_runs WHERE dagster_run_id = %s ORDER BY policy"
    assert application.execute(outcomes, (run_id,)).fetchall() == [
        ("app/orphans/memories.session_id", "done"),
        ("app/retention/sessions", "failed"),
        ("app/vacuum", "done"),
    ]


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

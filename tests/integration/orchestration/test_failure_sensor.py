"""A failed run is reported once, even while database or receiver are unreachable."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ops_pipeline.maintenance import kinds
from ops_pipeline.orchestration import failure, failure_sensor, webhook
from ops_pipeline.orchestration.resources import MaintenanceResource
from ops_pipeline.policies.model import Policies
from ops_pipeline.postgres.connection import Connection, connect
from tests.integration.orchestration.conftest import Materialize

EVENTS = (
    "SELECT action, status, created_by, details ->> 'headline', resource_id::text FROM audit_logs"
    " WHERE action = 'run.failed' ORDER BY created_at"
)


@dataclass
class Receiver:
    """An HTTP server that answers with these codes, then 200, and stores what it accepted."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    got: list[Any] = field(default_factory=list)
    asked: int = 0


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    made = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            made.asked += 1
            code = made.answers.pop(0) if made.answers else 200
            if code == 200:
                made.got.append(json.loads(body))
            self.send_response(code)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    made.url = f"http://127.0.0.1:{server.server_port}/hook"
    monkeypatch.setenv("OPS_WEBHOOK_URL", made.url)
    monkeypatch.setattr(webhook, "FIRST_PAUSE_SECONDS", 0.01)
    yield made
    server.shutdown()
    server.server_close()


@pytest.fixture
def failed_run(materialize: Materialize, application: Connection) -> str:
    application.execute("CREATE TABLE child (session_id uuid REFERENCES sessions)")
    application.execute("INSERT INTO child SELECT id FROM sessions, generate_series(1, 500)")
    return materialize(raise_on_error=False).run_id


def _report(
    instance: dg.DagsterInstance, policies: Policies, progress: failure_sensor.Progress | None = None
) -> str:
    return failure_sensor.report(
        instance, MaintenanceResource(), policies, progress or failure_sensor.Progress(0)
    )


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

    failed = failure.failure_of(instance, kinds.load(tmp_path / "policies.yaml"), record)

    assert failed is not None
    assert {step.step for step in failed.steps} == {
        "app/orphans/absent.id",
        "app/retention/sessions:short",
    }


def test_a_receiver_that_fails_twice_gets_it_once(
    failed_run: str, instance: dg.DagsterInstance, policies: Policies, receiver: Receiver
) -> None:
    receiver.answers = [500, 429]
    progress = failure_sensor.Progress(0)

    _report(instance, policies, progress)
    _report(instance, policies, progress)

    assert receiver.asked == 3
    (message,) = receiver.got
    assert message["run_id"] == failed_run
    assert message["databases"] == ["app"]
    assert message["run_url"] == f"http://127.0.0.1:3000/runs/{failed_run}"
    (failed,) = message["failed"]
    assert failed["step"] == "app/retention/sessions"
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
    receiver.answers = [503] * webhook.TRIES
    progress = failure_sensor.Progress(0)

    assert "will be reported again: the message could not be posted to" in _report(
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
    progress = failure_sensor.Progress(0)
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
    progress = failure_sensor.Progress(0)

    assert "will be reported again: 127.0.0.1 refused the message" in _report(instance, policies, progress)
    assert _report(instance, policies, progress) == f"Reported: {failed_run}"

    assert receiver.asked == 1


def test_delivery_is_given_up_after_a_day(
    failed_run: str,
    instance: dg.DagsterInstance,
    policies: Policies,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(failure_sensor, "GIVE_UP_AFTER", timedelta(0))
    receiver.answers = [503] * webhook.TRIES
    progress = failure_sensor.Progress(0)

    assert _report(instance, policies, progress).startswith("Reported:")
    assert _report(instance, policies, progress) == "No run has failed"


def test_a_run_that_is_retried_automatically_is_not_reported(
    failed_run: str,
    instance: dg.DagsterInstance,
    policies: Policies,
    receiver: Receiver,
    application: Connection,
) -> None:
    instance.add_run_tags(failed_run, {failure.WILL_RETRY: "true"})

    _report(instance, policies)

    assert receiver.asked == 0
    assert len(application.execute(EVENTS).fetchall()) == 1


def test_a_run_that_succeeds_is_not_reported(
    materialize: Materialize, instance: dg.DagsterInstance, policies: Policies, receiver: Receiver
) -> None:
    materialize()

    assert _report(instance, policies) == "No run has failed"
    assert receiver.asked == 0


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


def test_a_new_sensor_reports_only_failures_after_its_start(
    failed_run: str, instance: dg.DagsterInstance, policies: Policies, receiver: Receiver
) -> None:
    sensor = failure_sensor.definitions(policies).sensors
    assert sensor
    (failed_runs,) = sensor
    assert isinstance(failed_runs, dg.SensorDefinition)
    with dg.build_sensor_context(
        instance=instance, resources={"databases": MaintenanceResource()}
    ) as context:
        failed_runs(context)
        failed_runs(context)

    assert receiver.asked == 0

"""Messages to the webhook: what they say, how they are delivered, and what they never contain."""

import logging
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from ops_pipeline.maintenance import kinds
from ops_pipeline.orchestration import alert, delivery, ended_runs, webhook
from ops_pipeline.policies.model import Policies
from tests.integration.orchestration.conftest import Materialize
from tests.integration.orchestration.receiver import SECRET, Receiver
from tests.integration.orchestration.reports import report

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

    report(instance, policies, progress)
    report(instance, policies, progress)

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
    assert "`opsctl run --policy app/retention/sessions`" in message["do"]


def test_a_message_that_the_receiver_refuses_is_not_retried(
    failed_run: str, instance: dg.DagsterInstance, policies: Policies, receiver: Receiver
) -> None:
    receiver.answers = [404]
    progress = ended_runs.Progress(0)

    assert "will be reported again: 127.0.0.1 refused what was sent" in report(instance, policies, progress)
    assert report(instance, policies, progress) == f"Reported: {failed_run}"

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

    assert report(instance, policies, progress).startswith("Reported:")
    assert report(instance, policies, progress) == "No run to report"


@pytest.mark.parametrize("code", [301, 302, 307, 308])
def test_a_redirect_is_a_wrong_url_reported_once_and_not_retried(
    failed_run: str, instance: dg.DagsterInstance, policies: Policies, receiver: Receiver, code: int
) -> None:
    receiver.answers = [code] * 10
    progress = ended_runs.Progress(0)

    assert f"answered {code}, a redirect: OPS_WEBHOOK_URL is wrong" in report(instance, policies, progress)
    assert report(instance, policies, progress) == f"Reported: {failed_run}"
    assert report(instance, policies, progress) == "No run to report"

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

    said = [report(instance, policies, progress) for _ in range(2)]

    assert str(code) in said[0]
    assert SECRET not in "\n".join([*said, caplog.text])


def test_the_receivers_reason_is_told(
    failed_run: str, instance: dg.DagsterInstance, policies: Policies, receiver: Receiver
) -> None:
    receiver.answers, receiver.says = [400], "invalid_blocks"

    assert "(400: invalid_blocks)" in report(instance, policies)


@pytest.mark.parametrize(
    "quoted",
    [SECRET.upper(), SECRET.replace("-", "%2D"), SECRET.replace("-", "&#45;"), SECRET[3:14], f"x{SECRET}x"],
)
def test_a_reason_that_quotes_a_part_of_the_url_is_not_told(receiver: Receiver, quoted: str) -> None:
    receiver.answers, receiver.says = [400], f"not known: {quoted}"

    with pytest.raises(delivery.RefusedError, match=r"refused what was sent to OPS_WEBHOOK_URL \(400\)$"):
        delivery.send("OPS_WEBHOOK_URL", receiver.url, {})


def test_an_address_that_cannot_be_used_is_not_quoted() -> None:
    for url in (f"https://{'x' * 64}.example/{SECRET}", f"https://a..b/{SECRET}", f"ftp://a/{SECRET}"):
        with pytest.raises((delivery.RefusedError, delivery.UndeliveredError)) as refused:
            delivery.send("OPS_WEBHOOK_URL", url, {}, attempts=1)
        assert SECRET not in str(refused.value)


def test_slack_gets_a_message_in_its_own_format(
    failed_run: str,
    instance: dg.DagsterInstance,
    policies: Policies,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPS_WEBHOOK_FORMAT", "slack")

    report(instance, policies)

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

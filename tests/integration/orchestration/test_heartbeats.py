"""The heartbeat: called once after each good run of a whole database, and after nothing else."""

from collections.abc import Iterator

import dagster as dg
import msgspec
import pytest

from ops_pipeline import settings
from ops_pipeline.orchestration import ended_runs, heartbeat
from ops_pipeline.orchestration.definitions import build_definitions
from ops_pipeline.pauses import pauses
from ops_pipeline.policies.model import Policies
from ops_pipeline.postgres.connection import Connection
from tests.integration.orchestration.conftest import WAITING, Materialize
from tests.integration.orchestration.receiver import SECRET, Receiver, receiving
from tests.integration.orchestration.reports import report


@pytest.fixture
def heartbeats(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """The receiver of heartbeats, with an address for each database."""
    with receiving() as made:
        monkeypatch.setenv("OPS_HEARTBEAT_URL", made.url + "/{database}")
        yield made


def test_each_good_run_calls_the_heartbeat_of_its_database_once(
    materialize: Materialize, instance: dg.DagsterInstance, policies: Policies, heartbeats: Receiver
) -> None:
    materialize()
    progress = ended_runs.Progress(0)

    report(instance, policies, progress)
    report(instance, policies, progress)

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

    assert report(instance, policies) == "No run to report"

    assert heartbeats.asked == 0


def test_a_run_of_some_policies_calls_no_heartbeat(
    materialize: Materialize, instance: dg.DagsterInstance, policies: Policies, heartbeats: Receiver
) -> None:
    job = build_definitions(policies).resolve_job_def("nightly_app")
    assert job.execute_in_process(
        instance=instance, asset_selection=[dg.AssetKey(policies.databases[0].policies[0].identity.path)]
    ).success

    assert report(instance, policies) == "No run to report"

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

    report(instance, policies)

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

    said = report(instance, policies, progress)
    restarted = msgspec.json.decode(msgspec.json.encode(progress), type=ended_runs.Progress)
    report(instance, policies, restarted)

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

    assert "The heartbeat of app was not accepted" in report(instance, policies, progress)
    assert report(instance, policies, progress) == "No run to report"
    assert heartbeats.asked == 1

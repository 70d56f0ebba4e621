"""Who starts a run is in its tag, and approvals that cannot be given are refused at launch."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pytest
from dagster._core.utils import make_new_run_id

from ops_pipeline.maintenance import kinds
from ops_pipeline.maintenance.guard import approvals
from ops_pipeline.orchestration import ended_runs
from ops_pipeline.orchestration.identity import STARTED_BY
from ops_pipeline.orchestration.resources import MaintenanceResource
from ops_pipeline.postgres.connection import Connection, scalar
from tests.integration.webserver.conftest import store_plan
from tests.integration.webserver.served import FORGED, Served

Headers = dict[str, str]


@pytest.fixture
def launch(served: Served, bearer: Headers) -> Callable[..., dict[str, Any]]:
    """Launches a nightly job as ada."""

    def start(config: Any, **where: Any) -> dict[str, Any]:
        return served.launch(config, headers=bearer, **where)

    return start


def _refused(served: Served, launched: dict[str, Any]) -> str:
    """Why the launchpad shows that the run was refused; it has failed with the same reason."""
    assert launched["__typename"] == "PythonError", launched
    run = served.instance.get_runs(limit=1)[0]
    assert run.status is dg.DagsterRunStatus.FAILURE
    assert run.tags["dagster/max_retries"] == "0"
    engine = [event.message for event in served.instance.all_logs(run.run_id)]
    assert any("Nothing was approved and the run did not start." in message for message in engine)
    return str(launched["message"])


def test_our_tags_are_ours_whatever_the_client_wrote(
    served: Served, launch: Callable[..., dict[str, Any]]
) -> None:
    launched = launch(None)

    run = served.instance.get_run_by_id(launched["run"]["runId"])
    assert run is not None
    assert run.status is dg.DagsterRunStatus.QUEUED
    ours = {name: run.tags[name] for name in FORGED if name in run.tags}
    assert ours == {STARTED_BY: "ada", "ops/trigger": "ui"}


REEXECUTE = """mutation ($parameters: ReexecutionParams!) {
  launchRunReexecution(reexecutionParams: $parameters) {
    __typename ... on LaunchRunSuccess {run {runId}} ... on PythonError {message}}}"""


def test_dagsters_tags_are_dagsters_and_a_run_is_in_the_list_of_runs(
    served: Served, launch: Callable[..., dict[str, Any]], bearer: Headers
) -> None:
    claimed = {"dagster/backfill": "zzzz", "dagster/schedule_name": "nightly_app", "user": "grace"}
    kept = {"dagster/from_ui": "true", "ticket": "4711"}

    launched = launch({"dry_run": True}, tags=claimed | kept)

    run = served.instance.get_run_by_id(launched["run"]["runId"])
    assert run is not None
    assert not claimed.keys() & run.tags.keys()
    assert kept.items() <= run.tags.items()


def test_a_run_of_a_schedule_that_is_re_executed_keeps_what_dagster_wrote(
    served: Served, launch: Callable[..., dict[str, Any]], bearer: Headers
) -> None:
    first = served.instance.get_run_by_id(launch(None)["run"]["runId"])
    assert first is not None
    served.instance.add_run_tags(first.run_id, {"dagster/schedule_name": "nightly_app"})
    extra = [{"key": "dagster/from_ui", "value": "true"}, {"key": "dagster/backfill", "value": "zzzz"}]
    given = {
        "parentRunId": first.run_id,
        "strategy": "ALL_STEPS",
        "useParentRunTags": True,
        "extraTags": extra,
    }

    answer = httpx.post(
        f"{served.address}/graphql",
        json={"query": REEXECUTE, "variables": {"parameters": given}},
        headers=bearer,
        timeout=30,
    )

    again = answer.json()["data"]["launchRunReexecution"]
    run = served.instance.get_run_by_id(again["run"]["runId"])
    assert run is not None
    assert run.tags["dagster/schedule_name"] == "nightly_app"
    assert run.tags["dagster/from_ui"] == "true"
    assert run.tags["dagster/parent_run_id"] == first.run_id
    assert "dagster/backfill" not in run.tags


def test_a_bare_webserver_knows_no_one_and_approves_nothing(served: Served, app: Connection) -> None:
    forged = {"ops_pipeline.person": "ada", "X-Forwarded-User": "ada"}
    plan = store_plan(app)

    launched = served.launch(None, address=served.without_sign_in, headers=forged)
    refused = served.launch({"approve": [plan.id]}, address=served.without_sign_in, headers=forged)

    run = served.instance.get_run_by_id(launched["run"]["runId"])
    assert run is not None
    ours = {name: run.tags[name] for name in FORGED}
    assert ours == {STARTED_BY: "unknown", "ops/trigger": "ui", "ops/outcome": "not_ended"}
    assert "opsctl approve ID" in _refused(served, refused)


def test_a_pending_plan_of_the_run_is_accepted(
    served: Served, launch: Callable[..., dict[str, Any]], app: Connection
) -> None:
    plan = store_plan(app)

    assert launch({"approve": [plan.id]})["__typename"] == "LaunchRunSuccess"
    approvals.approve(app, plan.id, "grace")
    assert launch({"approve": [plan.id]})["__typename"] == "LaunchRunSuccess", "approved, but not used"


def test_an_unknown_plan_is_refused(
    served: Served, launch: Callable[..., dict[str, Any]], app: Connection
) -> None:
    plan = store_plan(app)
    wrong = f"{plan.id[:-1]}{'0' if plan.id[-1] != '0' else '1'}"

    said = _refused(served, launch({"approve": [plan.id, wrong]}))

    assert f'plan "{wrong}" does not exist in app; did you mean "{plan.id}"?' in said


def test_a_refused_launch_is_in_no_history_and_no_message_tells_of_it(
    served: Served,
    launch: Callable[..., dict[str, Any]],
    app: Connection,
    policies: Path,
) -> None:
    _refused(served, launch({"approve": ["aaaaaaaa"]}))
    (run,) = served.instance.get_runs(limit=1)

    told = ended_runs.report(
        served.instance, MaintenanceResource(), kinds.load(policies), ended_runs.Progress(0)
    )

    assert run.tags["ops/outcome"] == "launch_refused"
    assert run.run_id not in told
    assert scalar(app, "SELECT count(*) FROM ops.maintenance_runs") == 0


def test_a_plan_of_another_database_is_refused_and_names_its_job(
    served: Served, launch: Callable[..., dict[str, Any]], other: Connection
) -> None:
    plan = store_plan(other, "other/retention/sessions")

    said = _refused(served, launch({"approve": [plan.id]}))

    assert f'plan "{plan.id}" is of database other. Launch nightly_other with it.' in said
    both = launch({"approve": [plan.id]}, job="nightly_maintenance")
    assert both["__typename"] == "LaunchRunSuccess", "that job runs every database"


def test_a_plan_of_a_policy_that_is_not_selected_is_refused(
    served: Served, bearer: Headers, app: Connection
) -> None:
    plan = store_plan(app)
    visits = {"path": ["app", "retention", "visits"]}
    selector = {
        "repositoryLocationName": "location.py",
        "repositoryName": "__repository__",
        "pipelineName": "nightly_app",
        "assetSelection": [visits],
    }
    config = {"resources": {"databases": {"config": {"approve": [plan.id]}}}}
    parameters = {"selector": selector, "runConfigData": config, "mode": "default"}

    launched = served.ask_launch(parameters, headers=bearer)

    said = _refused(served, launched)
    assert f'plan "{plan.id}" is of app/retention/sessions, which this run does not include' in said


def test_a_plan_that_a_run_has_used_or_that_was_replaced_is_refused(
    served: Served, launch: Callable[..., dict[str, Any]], app: Connection
) -> None:
    used, replaced = store_plan(app), store_plan(app, "app/retention/visits")
    newer = store_plan(app, "app/retention/visits")
    approvals.approve(app, used.id, "grace")
    app.execute("UPDATE ops.plans SET used_at = now(), used_by_run = 7 WHERE id = %s", [used.id])

    assert "was approved by grace and used by run 7" in _refused(served, launch({"approve": [used.id]}))
    said = _refused(served, launch({"approve": [replaced.id]}))
    assert f'plan "{newer.id}" has replaced it' in said


def test_a_dry_run_approves_nothing(
    served: Served, launch: Callable[..., dict[str, Any]], app: Connection
) -> None:
    plan = store_plan(app)

    said = _refused(served, launch({"approve": [plan.id], "dry_run": True}))

    assert "a dry run approves nothing" in said


def test_a_name_as_free_text_is_no_configuration(launch: Callable[..., dict[str, Any]]) -> None:
    launched = launch({"approve": ["a0000000"], "approved_by": "boss"})

    assert launched["__typename"] == "RunConfigValidationInvalid"
    assert "approved_by" in launched["errors"][0]["message"]


def test_an_automatic_retry_keeps_the_person_and_a_backfill_has_none(
    served: Served, launch: Callable[..., dict[str, Any]], bearer: Headers, app: Connection
) -> None:
    first = served.instance.get_run_by_id(launch({"approve": [store_plan(app).id]})["run"]["runId"])
    assert first is not None
    retried = first._replace(run_id=make_new_run_id(), status=dg.DagsterRunStatus.NOT_STARTED,
                      parent_run_id=first.run_id, root_run_id=first.run_id)  # fmt: skip
    filled = first._replace(run_id=make_new_run_id(), status=dg.DagsterRunStatus.NOT_STARTED,
                     tags={**first.tags, "dagster/backfill": "abc", STARTED_BY: "forged"})  # fmt: skip

    for run in (retried, filled):
        served.instance.add_run(run)
    by_the_daemon = served.context.create_request_context()
    assert served.instance.submit_run(retried.run_id, by_the_daemon).tags[STARTED_BY] == "ada"
    with pytest.raises(approvals.ApprovalRefusedError, match="it is unknown who started this run"):
        served.instance.submit_run(filled.run_id, by_the_daemon)
    kept = served.instance.get_run_by_id(filled.run_id)
    assert kept is not None
    assert kept.tags[STARTED_BY] == "unknown"


def test_a_page_of_another_origin_starts_no_run(served: Served, bearer: Headers) -> None:
    before = served.instance.get_runs_count()

    launched = httpx.post(
        f"{served.address}/graphql",
        json={"query": "mutation {launchRun(executionParams: {}) {__typename}}"},
        headers=bearer | {"Origin": "http://evil.example"},
    )

    assert launched.status_code == 403
    assert served.instance.get_runs_count() == before

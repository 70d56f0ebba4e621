"""A person whose key is limited to a database starts, approves and ends runs of that one, and no more."""

from collections.abc import Callable
from typing import Any

import dagster as dg
import httpx
import pytest
from dagster._core.utils import make_new_run_id

from ops_pipeline.orchestration.database_limit import DatabaseLimitError, refuse_other_databases
from ops_pipeline.orchestration.identity import STARTED_BY, Person
from ops_pipeline.postgres.connection import Connection
from tests.integration.webserver.conftest import store_plan
from tests.integration.webserver.served import LOCATION_NAME, Served

Headers = dict[str, str]
EVA = Person("eva", ("app",))
BACKFILL = """mutation {launchPartitionBackfill(backfillParams: {allPartitions: true, assetSelection: [
  {path: ["other", "archive", "sessions"]}]}) {__typename}}"""
REEXECUTE = """mutation ($parent: String!) {
  launchRunReexecution(reexecutionParams: {parentRunId: $parent, strategy: ALL_STEPS}) {
    __typename ... on PythonError {message}}}"""
TERMINATE = "mutation ($id: String!) {terminateRun(runId: $id) {__typename}}"
REPOSITORY = f'repositoryLocationName: "{LOCATION_NAME}", repositoryName: "__repository__"'


@pytest.fixture
def eva(key: Callable[..., str]) -> Headers:
    """The headers of a script whose key is limited to the database `app`."""
    return {"Authorization": f"Bearer {key('eva', databases=['app'])}"}


def _ask(served: Served, headers: Headers, query: str, **variables: Any) -> httpx.Response:
    chosen = "Chosen" if "Chosen" in query else None
    body = {"query": query, "variables": variables, "operationName": chosen}
    return httpx.post(f"{served.address}/graphql", json=body, headers=headers, timeout=30)


def _started(served: Served, launched: dict[str, Any]) -> dg.DagsterRun:
    assert launched["__typename"] == "LaunchRunSuccess", launched
    run = served.instance.get_run_by_id(launched["run"]["runId"])
    assert run is not None
    return run


def _assets(job: str, *paths: list[str]) -> dict[str, Any]:
    selector = {
        "repositoryLocationName": LOCATION_NAME,
        "repositoryName": "__repository__",
        "pipelineName": job,
        "assetSelection": [{"path": path} for path in paths],
    }
    return {"selector": selector, "runConfigData": {}, "mode": "default"}


def test_runs_of_the_own_database_start_and_approve(served: Served, eva: Headers, app: Connection) -> None:
    plan = store_plan(app)

    run = _started(served, served.launch({"approve": [plan.id]}, headers=eva))

    assert run.tags[STARTED_BY] == "eva"
    selected = _assets("__ASSET_JOB", ["app", "retention", "visits"])
    _started(served, served.ask_launch(selected, headers=eva))


@pytest.mark.parametrize("job", ["nightly_other", "nightly_maintenance"])
@pytest.mark.parametrize("config", [None, {"dry_run": True}])
def test_a_run_that_includes_another_database_is_refused_and_names_what_would_be_right(
    served: Served, eva: Headers, job: str, config: Any
) -> None:
    launched = served.launch(config, job=job, headers=eva)

    assert launched["__typename"] == "PythonError", launched
    said = launched["message"]
    assert f"The key eva is for runs of app, and this run (job {job}) works on other." in said
    assert "Nothing was approved and the run did not start. Launch nightly_app." in said
    every = "--database other" if job == "nightly_other" else "--database app --database other"
    assert f"keys create --name NAME --scope maintenance:write {every}" in said
    run = served.instance.get_runs(limit=1)[0]
    assert run.status is dg.DagsterRunStatus.FAILURE
    assert run.tags["dagster/max_retries"] == "0"


@pytest.mark.parametrize(
    ("paths", "reason"),
    [
        ([["other", "retention", "sessions"]], "works on other"),
        ([["app", "retention", "visits"], ["other", "retention", "sessions"]], "works on other"),
        ([["dagster", "run_history_cleanup"]], "is of no database of policies.yaml"),
    ],
)
def test_selected_assets_of_another_database_are_refused(
    served: Served, eva: Headers, paths: list[list[str]], reason: str
) -> None:
    launched = served.ask_launch(_assets("__ASSET_JOB", *paths), headers=eva)

    assert launched["__typename"] == "PythonError", launched
    assert reason in launched["message"]


def test_another_persons_run_of_another_database_is_not_re_executed(
    served: Served, eva: Headers, bearer: Headers
) -> None:
    own = _started(served, served.launch(None, headers=bearer))
    other = _started(served, served.launch(None, job="nightly_other", headers=bearer))
    for run in (own, other):
        served.instance.report_run_canceled(run)

    refused = _ask(served, eva, REEXECUTE, parent=other.run_id).json()["data"]["launchRunReexecution"]
    allowed = _ask(served, eva, REEXECUTE, parent=own.run_id).json()["data"]["launchRunReexecution"]

    assert refused["__typename"] == "PythonError", refused
    assert "works on other" in refused["message"]
    assert allowed["__typename"] == "LaunchRunSuccess", allowed
    assert served.instance.get_runs(limit=1)[0].tags[STARTED_BY] == "eva"


def test_a_restore_job_and_a_run_of_another_code_location_are_refused_too(
    served: Served, bearer: Headers, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = _started(served, served.launch(None, headers=bearer))
    refuse_other_databases(run, EVA)
    refuse_other_databases(run._replace(job_name="restore_archived_days_app"), EVA)

    for job in ("restore_archived_days_other", "verify_archived_days_other", "a_job_of_theirs"):
        with pytest.raises(DatabaseLimitError):
            refuse_other_databases(run._replace(job_name=job, run_id=make_new_run_id()), EVA)
    monkeypatch.setenv("OPS_DAGSTER_LOCATION", "ours")
    with pytest.raises(DatabaseLimitError, match="is of no database"):
        refuse_other_databases(run, EVA)


@pytest.mark.parametrize(
    ("query", "named"),
    [
        (BACKFILL, "launchPartitionBackfill"),
        ("mutation {stopRunningSchedule(id: \"x\") {__typename}}", "stopRunningSchedule"),
        (f"mutation {{reloadRepositoryLocation({REPOSITORY}) {{__typename}}}}", "reloadRepositoryLocation"),
        ("mutation {logTelemetry(action: \"a\", clientTime: \"1\", clientId: \"c\", metadata: \"{}\") "
         "{__typename} ...Hidden} fragment Hidden on Mutation {x: wipeAssets(assetPartitionRanges: []) "
         "{__typename}}", "wipeAssets"),
        ("query Shown {version} mutation Chosen {... on Mutation {deleteRun(runId: \"x\") {__typename}}}",
         "deleteRun"),
    ],
)  # fmt: skip
def test_every_other_mutation_is_refused(served: Served, eva: Headers, query: str, named: str) -> None:
    refused = _ask(served, eva, query)

    assert refused.status_code == 403
    said = refused.json()["errors"][0]["message"]
    assert f"{named} is refused. Nothing was done." in said


def test_a_key_without_a_limit_may_do_what_dagster_lets_it(served: Served, bearer: Headers) -> None:
    assert _ask(served, bearer, BACKFILL).status_code != 403, "Dagster answers; there is no such asset here"


def test_pages_work_and_nothing_is_reported_for_an_asset(served: Served, eva: Headers) -> None:
    assert "version" in _ask(served, eva, "{version}").json()["data"]
    assert "version" in _ask(served, eva, "query mutation {version}").json()["data"]
    reported = httpx.post(
        f"{served.address}/report_asset_materialization/other/retention/graphql", json={}, headers=eva
    )
    assert reported.status_code == 403
    for body in ("[]", '{"query": 7}', "{", '{"query": "mutation {"}'):
        posted = httpx.post(
            f"{served.address}/graphql", content=body, headers=eva | {"Content-Type": "application/json"}
        )
        assert posted.status_code == 400


def test_only_runs_of_the_own_database_are_terminated(served: Served, eva: Headers, bearer: Headers) -> None:
    own = _started(served, served.launch(None, headers=bearer))
    other = _started(served, served.launch(None, job="nightly_other", headers=bearer))
    several = "mutation ($ids: [String!]!) {terminateRuns(runIds: $ids) {__typename}}"

    for refused in (
        _ask(served, eva, TERMINATE, id=other.run_id),
        _ask(served, eva, several, ids=[own.run_id, other.run_id]),
        _ask(served, eva, f'mutation {{terminateRun(runId: "{other.run_id}") {{__typename}}}}'),
        _ask(served, eva, TERMINATE.replace("String!", f'String! = "{other.run_id}"')),
        _ask(served, eva, several.replace("$ids)", "[$id])").replace("$ids: [String!]!", "$id: String!"),
             id=other.run_id),
    ):  # fmt: skip
        assert refused.status_code == 403
    ended = _ask(served, eva, TERMINATE, id=own.run_id).json()["data"]["terminateRun"]

    assert ended["__typename"] == "TerminateRunSuccess"
    for run, status in ((own, dg.DagsterRunStatus.CANCELED), (other, dg.DagsterRunStatus.QUEUED)):
        now = served.instance.get_run_by_id(run.run_id)
        assert now is not None
        assert now.status is status


def test_a_session_has_the_limit_of_its_key_and_the_page_says_so(
    served: Served, key: Callable[..., str]
) -> None:
    browser = httpx.Client(base_url=served.address, headers={"Accept": "text/html", "Origin": served.address})
    browser.post("/sign-in", data={"key": key("frida", databases=["app"])})

    assert "Signed in as <strong>frida</strong>, for runs of app." in browser.get("/sign-in").text
    refused = served.launch(None, job="nightly_other", cookies=dict(browser.cookies))
    assert "The key frida is for runs of app" in refused["message"]

"""What is refused in the Dagster UI, and what a person changes there, is in the audit log."""

import asyncio
import itertools
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import dagster as dg
import httpx
import pytest
from dagster._core.utils import make_new_run_id

from ops_pipeline.access import keys, wrong_keys
from ops_pipeline.orchestration.webserver import known_keys
from ops_pipeline.postgres.connection import Connection, scalar
from tests.eventually import eventually
from tests.integration.webserver.served import LOCATION_NAME, Served

Key = Callable[..., str]
Headers = dict[str, str]
EVENTS = """
SELECT details, host(ip_address), status, created_by, event_type FROM audit_logs WHERE action = %s
ORDER BY received_at
"""
TELEMETRY = 'logTelemetry(action: "x", clientTime: "0", clientId: "x", metadata: "{}") {__typename}'


MINUTES = itertools.count(1)


@pytest.fixture(autouse=True)
def _a_new_minute(served: Served, app: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    asyncio.run(served.evidence.record())
    passed = next(MINUTES) * 2 * wrong_keys.MINUTE
    later = SimpleNamespace(monotonic=lambda: time.monotonic() + passed)
    monkeypatch.setattr(wrong_keys, "time", later)
    app.execute("DELETE FROM audit_logs")


def _ask(served: Served, headers: Headers, query: str = "{version}", **variables: Any) -> httpx.Response:
    body = {"query": query, "variables": variables}
    return httpx.post(f"{served.address}/graphql", json=body, headers=headers, timeout=30)


def _bearer(key: str) -> Headers:
    return {"Authorization": f"Bearer {key}"}


def test_after_too_many_wrong_keys_an_address_waits_and_known_keys_work(
    served: Served, key: Key, app: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wrong_keys, "MOST_A_MINUTE", 5)
    monkeypatch.setattr(known_keys, "REMEMBERED_SECONDS", 0.0)  # so that it is looked up each time
    known, revoked = _bearer(key("known")), key("old")
    keys.revoke(app, "old")
    assert _ask(served, known).status_code == 200
    assert _ask(served, {}).status_code == 401

    wrong = [revoked, "none", *(f"ops_{number}" for number in range(6))]
    answers = [_ask(served, _bearer(sent)) for sent in wrong]
    form = httpx.post(f"{served.address}/sign-in", data={"key": "ops_another"})

    assert [answer.status_code for answer in answers] == [401] * 5 + [429] * 3
    assert 0 < int(answers[-1].headers["retry-after"]) <= 60
    assert form.status_code == 429
    assert "Too many requests with a wrong key" in form.text
    assert _ask(served, known).status_code == 200
    asyncio.run(served.evidence.record())
    ((details, address, status, by, kind),) = app.execute(EVENTS, ["key.refused"]).fetchall()
    assert (address, status, by, kind) == ("127.0.0.1", "failure", None, "audit_access")
    assert details.pop("from") <= details.pop("until")
    (revoked_id,) = details.pop("key_ids")
    assert scalar(app, "SELECT id::text FROM ops.api_keys WHERE name = 'old'") == revoked_id
    assert details == {"requests": 10, "without_key": 1, "wrong_key": 5, "not_looked_up": 4}


def test_of_many_wrong_keys_at_once_few_are_looked_up(
    served: Served, app: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wrong_keys, "MOST_A_MINUTE", 5)
    enough = threading.Event()
    looked_up = []

    def find(key_hash: bytes) -> known_keys.Found:
        looked_up.append(key_hash)
        assert enough.wait(60)
        return None, None

    monkeypatch.setattr(served.keys, "_find", find)
    with ThreadPoolExecutor(30) as clients:
        answers = [clients.submit(_ask, served, _bearer(f"ops_{number}")) for number in range(30)]
        eventually(lambda: sum(answer.done() for answer in answers) == 25)
        enough.set()
    statuses = [answer.result().status_code for answer in answers]

    assert len(looked_up) == 5
    assert (statuses.count(401), statuses.count(429)) == (5, 25)


def test_a_key_without_the_scope_leaves_an_event_of_each_request(
    served: Served, key: Key, app: Connection
) -> None:
    reader = key("reader", "audit:read")

    assert _ask(served, _bearer(reader)).status_code == 403
    assert httpx.post(f"{served.address}/sign-in", data={"key": reader}).status_code == 403

    first, second = app.execute(EVENTS, ["scope.refused"]).fetchall()
    assert first[3] == second[3] == "reader"
    assert first[0]["scope"] == "maintenance:write"
    assert (first[0]["route"], second[0]["route"]) == ("/graphql", "/sign-in")


def test_what_a_limited_key_is_refused_is_recorded(served: Served, key: Key, app: Connection) -> None:
    eva = _bearer(key("eva", databases=["app"]))

    assert _ask(served, eva, 'mutation {deleteRun(runId: "7") {__typename}}').status_code == 403
    launched = served.launch(None, job="nightly_other", headers=eva)

    assert launched["__typename"] == "PythonError"
    mutation, launch = app.execute(EVENTS, ["database.refused"]).fetchall()
    assert mutation[1:] == ("127.0.0.1", "failure", "eva", "audit_access")
    assert mutation[0]["databases"] == ["app"]
    assert mutation[0]["changes"] == [{"name": "deleteRun", "target": '{"runId": "7"}'}]
    assert launch[0]["jobs"] == ["nightly_other"]


def test_each_change_that_passes_names_the_person_the_mutation_and_its_target(
    served: Served, bearer: Headers, app: Connection
) -> None:
    run_id = make_new_run_id()
    delete = f"mutation ($id: String!) {{deletePipelineRun(runId: $id) {{__typename}} {TELEMETRY}}}"

    _ask(served, bearer, delete, id=run_id)
    served.launch({"dry_run": True}, headers=bearer)
    _ask(served, bearer)
    _ask(served, bearer, "mutation {setNuxSeen}")

    deleted, launched = app.execute(EVENTS, ["change.requested"]).fetchall()
    assert deleted[1:] == ("127.0.0.1", "pending", "ada", "maintenance")
    newest = "SELECT id::text FROM ops.api_keys WHERE name = 'ada' ORDER BY created_at DESC LIMIT 1"
    assert deleted[0]["key_id"] == scalar(app, newest)
    assert deleted[0]["changes"] == [{"name": "deletePipelineRun", "target": f'{{"runId": "{run_id}"}}'}]
    (launch,) = launched[0]["changes"]
    assert launch["name"] == "launchRun"
    assert LOCATION_NAME in launch["target"]
    assert "dry_run" not in launch["target"], "the run has its configuration"


def test_what_is_changed_is_recorded_whole_and_of_the_operation_that_is_executed(
    served: Served, bearer: Headers, app: Connection
) -> None:
    decoys = " ".join(f'd{number}: terminateRun(runId: "{number}") {{__typename}}' for number in range(30))
    run_ids = [make_new_run_id() for _ in range(31)]
    named = " ".join(f'"{run_id}"' for run_id in run_ids)

    _ask(served, bearer, f'mutation {{{decoys} z: stopRunningSchedule(id: "real") {{__typename}}}}')
    _ask(served, bearer, f"mutation {{terminateRuns(runIds: [{named}]) {{__typename}}}}")
    _ask(served, bearer, 'mutation ($id: String = "by default") {stopRunningSchedule(id: $id) {__typename}}')
    hidden = (
        f'query A {{version}} mutation B {{{decoys}}} mutation C {{deleteRun(runId: "c") {{__typename}}}}'
    )
    httpx.post(
        f"{served.address}/graphql",
        json={"query": hidden, "operationName": "C"},
        headers=bearer,
        timeout=30,
    )

    behind, many, default, chosen = [
        row[0]["changes"] for row in app.execute(EVENTS, ["change.requested"]).fetchall()
    ]
    assert len(behind) == 31
    assert behind[-1] == {"name": "stopRunningSchedule", "target": '{"id": "real"}'}
    assert [run_id for run_id in run_ids if run_id in many[0]["target"]] == run_ids
    assert default == [{"name": "stopRunningSchedule", "target": '{"id": "by default"}'}]
    assert chosen == [{"name": "deleteRun", "target": '{"runId": "c"}'}]


def test_what_is_too_much_to_record_is_not_done(served: Served, bearer: Headers, app: Connection) -> None:
    query = "mutation ($ids: [String!]!) {terminateRuns(runIds: $ids) {__typename}}"

    answer = _ask(served, bearer, query, ids=[make_new_run_id() for _ in range(4000)])

    assert answer.status_code == 413
    assert "change less at a time" in answer.json()["errors"][0]["message"]
    assert app.execute(EVENTS, ["change.requested"]).fetchall() == []


@pytest.mark.parametrize("kind", ["materialization", "check", "observation"])
def test_no_event_of_a_policy_is_reported_from_outside(
    served: Served, bearer: Headers, app: Connection, kind: str
) -> None:
    key = dg.AssetKey(["app", "retention", "sessions"])
    body = {"asset_key": list(key.path), "check_name": "guard_passed", "passed": True}

    answers = [
        httpx.post(f"{served.address}/report_asset_{kind}/{path}", json=body, headers=bearer, timeout=30)
        for path in ("", "app/retention/sessions", "?asset_key=x")
    ]

    assert [answer.status_code for answer in answers] == [403] * 3
    assert "Nothing was done" in answers[0].text
    assert served.instance.get_latest_materialization_event(key) is None
    assert app.execute(EVENTS, ["change.requested"]).fetchall() == []
    events = app.execute(EVENTS, ["change.refused"]).fetchall()
    details, _, status, by, event_type = events[0]
    assert (len(events), status, by, event_type) == (3, "failure", "ada", "maintenance")
    assert details["changes"][0]["name"] == f"/report_asset_{kind}/"
    assert '"asset_key": ["app", "retention", "sessions"], "check_name": "guard_passed"' in str(details)
    assert "asset_key=x" in str(events[2][0])


def test_while_the_audit_log_is_away_a_change_goes_on(
    served: Served, bearer: Headers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served.evidence, "_url", "postgresql://nobody@127.0.0.1:1/app")

    answer = _ask(served, bearer, 'mutation {deletePipelineRun(runId: "7") {__typename}}')

    assert answer.json()["data"]["deletePipelineRun"]["__typename"] == "RunNotFoundError"

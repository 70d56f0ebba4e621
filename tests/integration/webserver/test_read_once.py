"""What Dagster executes is what the sign-in middleware has judged: no request reads as two."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest
from dagster._core.utils import make_new_run_id
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.integration.webserver.served import Served

Headers = dict[str, str]
JSON = {"Content-Type": "application/json"}
VERSION = '{"query": "{version}"}'


@pytest.fixture
def eva(key: Callable[..., str]) -> Headers:
    """The headers of a script whose key is limited to the database `app`."""
    return {"Authorization": f"Bearer {key('eva', databases=['app'])}"}


@pytest.fixture
def run_id(served: Served, bearer: Headers) -> str:
    """A run of the database `other`, which eva may not delete."""
    launched = served.launch(None, job="nightly_other", headers=bearer)
    return str(launched["run"]["runId"])


@contextmanager
def _websocket(served: Served, headers: Headers) -> Iterator[ClientConnection]:
    address = served.address.replace("http", "ws") + "/graphql"
    with connect(
        address, additional_headers=headers, subprotocols=[Subprotocol("graphql-ws")], open_timeout=30
    ) as opened:
        opened.send('{"type": "connection_init", "payload": {}}')
        assert json.loads(opened.recv(30)) == {"type": "connection_ack"}
        yield opened


STILL_OPEN = "still open"


def _end(opened: ClientConnection) -> str:
    """Why the server ended the websocket."""
    try:
        while True:
            opened.recv(10)
    except TimeoutError:
        return STILL_OPEN
    except ConnectionClosed as closed:
        return closed.rcvd.reason if closed.rcvd and closed.rcvd.code == 1008 else str(closed)


def _delete(run_id: str) -> str:
    return f'mutation {{deleteRun(runId: "{run_id}") {{__typename}}}}'


def _start(query: str, number: object = "1") -> str:
    return json.dumps({"type": "start", "id": number, "payload": {"query": query}})


@pytest.mark.parametrize(
    "kind", ["application/JSON", "Application/json", "application/json; a=application/graphql"]
)
def test_a_mutation_in_the_address_of_a_post_is_not_executed(
    served: Served, eva: Headers, run_id: str, kind: str
) -> None:
    answer = httpx.post(
        f"{served.address}/graphql",
        params={"query": _delete(run_id)},
        content=VERSION,
        headers=eva | {"Content-Type": kind},
        timeout=30,
    )

    assert "version" in answer.json()["data"], "the body is what was asked"
    assert served.instance.has_run(run_id)


@pytest.mark.parametrize("path", ["/graphql%0A", "/graphql"])
def test_no_get_executes_the_address(served: Served, eva: Headers, run_id: str, path: str) -> None:
    for accept in ("*/*", "text/html"):
        answer = httpx.get(
            f"{served.address}{path}", params={"query": _delete(run_id)}, headers=eva | {"Accept": accept}
        )
        assert answer.status_code != 500
    assert served.instance.has_run(run_id)


def test_of_repeated_names_the_one_that_was_judged_is_executed(
    served: Served, eva: Headers, run_id: str
) -> None:
    for body in (
        f'{{"query": {json.dumps(_delete(run_id))}, "query": "{{version}}"}}'.encode(),
        f'{{"query": "{{version}}", "query": {json.dumps(_delete(run_id))}}}'.encode(),
        json.dumps({"query": _delete(run_id)}).encode("utf-16"),
        json.dumps([{"query": _delete(run_id)}]).encode(),
    ):
        answer = httpx.post(f"{served.address}/graphql", content=body, headers=eva | JSON, timeout=30)
        assert answer.status_code in (200, 400, 403)
    assert served.instance.has_run(run_id)


def test_a_websocket_executes_no_mutation(served: Served, eva: Headers, run_id: str) -> None:
    hidden = f"""mutation {{pipelineRunLogs(runId: "{run_id}") {{__typename}}
        deleteRun(runId: "{run_id}") {{__typename}}}}"""

    with _websocket(served, eva) as opened:
        opened.send(_start(hidden))
        ended = _end(opened)

    assert served.instance.has_run(run_id)
    assert "A websocket may subscribe; send anything else by POST" in ended


def test_a_websocket_subscribes(served: Served, eva: Headers, run_id: str) -> None:
    with _websocket(served, eva) as opened:
        opened.send(_start(f'subscription {{pipelineRunLogs(runId: "{run_id}") {{__typename}}}}'))
        answer = json.loads(opened.recv(30))

    assert answer["payload"]["data"]["pipelineRunLogs"]["__typename"] == "PipelineRunLogsSubscriptionSuccess"


def test_a_document_whose_validation_would_take_long_is_invalid_by_post_and_by_websocket(
    served: Served, eva: Headers
) -> None:
    fields = "a {b {c {d}}} " * 490

    with _websocket(served, eva) as opened:
        opened.send(_start(f'subscription {{pipelineRunLogs(runId: "x") {{{fields}}}}}'))
        subscribed = json.loads(opened.recv(30))
    query = {"query": f"{{instance {{{fields}}}}}"}
    asked = httpx.post(f"{served.address}/graphql", json=query, headers=eva, timeout=30)

    assert subscribed["type"] == "error"
    assert asked.status_code == 400
    assert "Validation aborted." in asked.text


@pytest.mark.parametrize(
    "message",
    [
        "[]", "{", "7", '{"type": 7}', '{"type": "start", "id": "1"}', "x" * 70_000,
        _start("subscription {"), _start("subscription {version}", ["1"]),
    ],
)  # fmt: skip
def test_a_message_that_is_none_ends_the_websocket(served: Served, eva: Headers, message: str) -> None:
    with _websocket(served, eva) as opened:
        opened.send(message)
        assert _end(opened) != STILL_OPEN


def test_a_run_that_no_storage_can_have_is_not_terminated(served: Served, eva: Headers) -> None:
    for run_id in ("\\ud800", "\\u0000"):
        query = f'mutation {{terminateRun(runId: "{run_id}") {{__typename}}}}'
        answer = httpx.post(f"{served.address}/graphql", json={"query": query}, headers=eva, timeout=30)
        assert answer.status_code in (400, 403)
    unknown = f'mutation {{terminateRun(runId: "{make_new_run_id()}") {{__typename}}}}'
    said = httpx.post(f"{served.address}/graphql", json={"query": unknown}, headers=eva, timeout=30).json()
    assert said["data"]["terminateRun"]["__typename"] == "RunNotFoundError"

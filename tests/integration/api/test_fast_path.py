"""Plain posts of one event bypass the framework and are answered exactly as it would answer them."""

import gzip
import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from litestar import Litestar

from api.audit.queue import AuditQueue
from api.audit.store import UnavailableError
from ops_pipeline.postgres.connection import Connection, scalar
from tests.integration.api.conftest import Client, Headers

POST = "/api/audit-logs"
PLAIN = {"Content-Type": "application/json"}
NOT_PLAIN = {"Content-Type": "application/json; charset=utf-8"}
EVENT = {"eventType": "a", "details": {"b": [1, "c"]}, "ipAddress": "192.0.2.7", "durationMs": 3}


def test_a_plain_event_is_stored_without_the_framework(
    client: Client, admin: Headers, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.post(POST, json=EVENT, headers=admin)  # from now on the key is known

    async def unreachable(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(Litestar, "__call__", unreachable)
    answer = client.post(POST, json=EVENT, headers={**admin, "X-Request-ID": "mine"})

    assert answer.status_code == 201
    assert answer.headers["x-request-id"] == "mine"
    stored = "SELECT event_type, details, host(ip_address), duration_ms FROM audit_logs WHERE id = %s"
    assert connection.execute(stored, [answer.json()["id"]]).fetchone() == (
        "a", {"b": [1, "c"]}, "192.0.2.7", 3
    )  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(EVENT),
        json.dumps({**EVENT, "id": str(uuid4())}),
        json.dumps({**EVENT, "id": str(uuid4()), "createdAt": "2026-03-01T12:00:00Z"}),
        json.dumps({**EVENT, "userId": str(uuid4())}),
        f"  {json.dumps(EVENT)}\r\n",
        json.dumps(EVENT, indent=1),
        json.dumps([EVENT, {**EVENT, "status": "odd"}]),
        f"{json.dumps(EVENT)}\n{json.dumps(EVENT)}",
        json.dumps({**EVENT, "eventType": "audit_access"}),
        json.dumps({**EVENT, "details": {"a": "\0"}}),
        json.dumps({**EVENT, "details": {"a": "x" * 70_000}}),
        json.dumps({**EVENT, "details": "x"}),
        json.dumps({**EVENT, "createdAt": "0044-03-15T12:00:00Z"}),
        '{"eventType": "a", "details": {"n": 1e400000}}',
        '{"eventType": "a", "details": {"s": "\\ud800"}}',
        '{"eventType": "a"',
        "{}",
        "[]",
        "",
    ],
)
def test_the_answer_is_the_frameworks(client: Client, admin: Headers, body: str) -> None:
    client.get("/api/admin/audit-logs", headers=admin)  # from now on the key is known
    answers = []
    for headers in (NOT_PLAIN, PLAIN, PLAIN):
        answer = client.post(POST, content=body, headers={**admin, **headers})
        sent = {name: value for name, value in answer.headers.items() if name != "x-request-id"}
        answers.append((answer.status_code, sent, _without_ids(answer.json())))

    assert answers[0] == answers[1] == answers[2]


def _without_ids(answer: Any) -> Any:
    return json.loads(json.dumps(answer), object_hook=lambda each: {**each, "id": "id" in each})


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Encoding": "gzip"},
        {"Content-Encoding": "br"},
        {"Idempotency-Key": "once"},
        {"Idempotency-Key": ""},
        {"Content-Type": "application/x-ndjson"},
    ],
)
def test_a_request_that_is_not_plain_is_left_to_the_framework(
    client: Client, admin: Headers, connection: Connection, headers: Headers
) -> None:
    client.get("/api/admin/audit-logs", headers=admin)
    body = json.dumps(EVENT).encode()
    gzipped = gzip.compress(body)
    answers = [
        client.post(POST, content=gzipped if "gzip" in headers.values() else body,
                    headers={**admin, **PLAIN, **headers})
        for _ in range(2)
    ]  # fmt: skip

    stored = scalar(connection, "SELECT count(*) FROM audit_logs WHERE event_type = 'a'")
    match headers.popitem():
        case ("Content-Encoding", "gzip"):
            expected = (201, 2)
        case ("Content-Encoding", _):
            expected = (415, 0)
        case ("Idempotency-Key", "once"):
            expected = (201, 1)
        case ("Idempotency-Key", _):
            expected = (400, 0)
        case _:
            assert "results" in answers[0].json(), "a line is a batch of one"
            expected = (201, 2)
    assert (answers[1].status_code, stored) == expected


def test_a_missing_key_and_a_key_of_another_scope_are_refused(
    client: Client, key: Callable[..., Headers]
) -> None:
    reader = key("audit:read")
    client.get("/api/admin/audit-logs", headers=reader)

    for headers, status in ((reader, 403), ({}, 401), ({"Authorization": "Basic x"}, 401)):
        assert client.post(POST, json=EVENT, headers=headers).status_code == status


def test_a_revoked_key_is_refused(client: Client, admin: Headers, connection: Connection) -> None:
    client.post(POST, json=EVENT, headers=admin)
    connection.execute("UPDATE ops.api_keys SET revoked_at = now()")

    answers = [client.post(POST, json=EVENT, headers=admin).status_code]
    while answers[-1] == 201 and len(answers) < 100_000:
        answers.append(client.post(POST, json=EVENT, headers=admin).status_code)

    assert answers[-1] == 401


def test_a_failure_is_answered_as_the_framework_answers_it(
    client: Client, admin: Headers, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.post(POST, json=EVENT, headers=admin)

    async def away(*_: object) -> None:
        raise UnavailableError("nothing was stored")

    monkeypatch.setattr(AuditQueue, "store", away)
    told = [client.post(POST, json=EVENT, headers={**admin, **each}) for each in (NOT_PLAIN, PLAIN)]

    assert [each.status_code for each in told] == [503, 503]
    assert told[0].json() == told[1].json()
    assert [each.headers["retry-after"] for each in told] == ["5", "5"]
    assert {each.headers["content-type"] for each in told} == {"application/problem+json"}

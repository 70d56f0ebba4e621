"""Acknowledged events are stored, and every query about them is answered, or refused by field."""

import json
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from litestar.testing import TestClient
from litestar.types import ASGIApp

from api.auth.keys import KNOWN_SECONDS
from ops_pipeline.audit.event import SERVER_COLUMNS
from ops_pipeline.postgres.connection import Connection, scalar

Client = TestClient[ASGIApp]
Headers = dict[str, str]
STORE, FIND = "/api/audit-logs", "/api/admin/audit-logs"
USER = "00000000-0000-4000-8000-00000000a11c"
EVENT = {
    "eventType": "file.opened", "userId": USER, "resourceType": "file", "resourceId": USER, "action": "open",
    "status": "failure", "ipAddress": "192.0.2.7", "durationMs": 3, "details": {"a": [1]},
    "createdAt": "2026-03-01T12:00:00Z", "createdBy": "app",
}  # fmt: skip
OTHER = {"eventType": "other", "createdAt": "2026-03-02T12:00:00Z"}


def test_an_event_is_found_by_its_id_with_the_columns_names(client: Client, admin: Headers) -> None:
    stored = client.post(STORE, json=EVENT, headers=admin)

    assert stored.status_code == 201
    event_id = stored.json()["id"]
    found = client.get(f"{FIND}/{event_id}", headers=admin).json()
    (event,) = found["data"]
    assert (found["success"], found["count"], found["next"]) == (True, 1, None)
    assert {name: event[name] for name in event if name not in SERVER_COLUMNS} == {
        "id": event_id, "event_type": "file.opened", "user_id": USER, "resource_type": "file",
        "resource_id": USER, "action": "open", "details": {"a": [1]}, "ip_address": "192.0.2.7",
        "status": "failure", "duration_ms": 3, "created_at": "2026-03-01T12:00:00+00:00",
        "created_by": "app",
    }  # fmt: skip


@pytest.mark.parametrize(
    "query",
    [
        {"eventType": "file.opened"}, {"userId": USER}, {"resourceType": "file"}, {"resourceId": USER},
        {"action": "open"}, {"status": "failure"}, {"endDate": "2026-03-01T12:00:00Z"},
        {"endDate": "2026-03-01T13:00:00+01:00"}, {"endDate": "2026-03-02"},
    ],
)  # fmt: skip
def test_each_filter_leaves_out_what_does_not_match(
    client: Client, admin: Headers, query: dict[str, str]
) -> None:
    client.post(STORE, json=[EVENT, OTHER], headers=admin)

    answer = client.get(FIND, params=query, headers=admin).json()

    assert [row["event_type"] for row in answer["data"]] == ["file.opened"]
    assert (answer["success"], answer["count"], answer["next"]) == (True, 1, None)


def test_the_start_of_a_period_is_inclusive(client: Client, admin: Headers) -> None:
    client.post(STORE, json=[EVENT, OTHER], headers=admin)

    answer = client.get(FIND, params={"startDate": "2026-03-02T12:00:00"}, headers=admin).json()

    assert [row["event_type"] for row in answer["data"]] == ["other"]


def test_following_next_shows_every_event_once_newest_first(client: Client, admin: Headers) -> None:
    events = [{"eventType": "a", "createdAt": f"2026-03-0{day}T00:00:00Z"} for day in range(1, 6)]
    client.post(STORE, json=[*events, EVENT], headers=admin)

    seen: list[str] = []
    following: str | None = f"{FIND}?eventType=a&limit=2"
    while following is not None:
        answer = client.get(following, headers=admin).json()
        seen += [row["created_at"] for row in answer["data"]]
        following = answer["next"]

    assert seen == [f"2026-03-0{day}T00:00:00+00:00" for day in range(5, 0, -1)]


def test_a_page_has_a_hundred_events_and_never_more_than_a_thousand(client: Client, admin: Headers) -> None:
    client.post(STORE, json=[{"eventType": "a"}] * 1001, headers=admin)

    assert client.get(FIND, headers=admin).json()["count"] == 100
    for limit in ("5000", "9" * 30):
        answer = client.get(FIND, params={"limit": limit}, headers=admin).json()
        assert (answer["count"], len(answer["data"])) == (1000, 1000)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=-1", "limit"), ("limit=many", "limit"), ("offset=-1", "offset"), ("offset=x", "offset"),
        ("startDate=soon", "startDate"), ("endDate=2026-13-01", "endDate"), ("userId=alice", "userId"),
        ("resourceId=7", "resourceId"), ("status=fine", "status"), ("eventTyp=a", "eventTyp"),
        ("eventType=%00", "eventType"), ("action=a%00", "action"),
        ("resourceType=" + "x" * 300, "resourceType"),
    ],
)  # fmt: skip
def test_an_invalid_query_is_refused_by_field(client: Client, admin: Headers, query: str, field: str) -> None:
    answer = client.get(f"{FIND}?{query}", headers=admin)

    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert answer.json()["type"] == "/problems/validation"
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_a_bad_item_is_refused_alone(client: Client, admin: Headers, connection: Connection) -> None:
    answer = client.post(STORE, json=[EVENT, {"eventType": "a", "durationMs": -1}, OTHER], headers=admin)

    assert answer.status_code == 201
    first, second, third = answer.json()["results"]
    assert (first["index"], second["index"], third["index"]) == (0, 1, 2)
    assert second["error"]["field"] == "durationMs"
    assert ">= 0" in second["error"]["reason"]
    for kept in (first, third):
        assert client.get(f"{FIND}/{UUID(kept['id'])}", headers=admin).status_code == 200
    assert scalar(connection, "SELECT count(*) FROM audit_logs WHERE event_type <> 'audit_access'") == 2


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[", b"nonsense", b"\xff", b"[1, {}]", b"[" * 100_000, b'{"a":' * 100_000,
        b'[{"eventType":"a","details":' + b"[" * 100_000 + b"]" * 100_000 + b"}]",
        json.dumps({"eventType": "a\0"}).encode(),
    ],
    ids=range(10),
)  # fmt: skip
def test_a_body_that_holds_no_event_is_the_clients_mistake(
    client: Client, admin: Headers, connection: Connection, body: bytes
) -> None:
    answer = client.post(STORE, content=body, headers=admin)

    assert answer.status_code == 400
    assert answer.json()["errors"]
    assert scalar(connection, "SELECT count(*) FROM audit_logs") == 0


def test_a_body_over_16_mib_is_refused(client: Client, admin: Headers) -> None:
    answer = client.post(STORE, content=b" " * (16 * 1024 * 1024 + 1), headers=admin)

    assert answer.status_code == 413
    assert answer.json()["type"] == "/problems/too-large"


def test_an_unknown_event_is_not_found(client: Client, admin: Headers) -> None:
    for event_id in (USER, "nonsense"):
        answer = client.get(f"{FIND}/{event_id}", headers=admin)
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")


def test_an_event_that_is_sent_again_is_kept_once(
    client: Client, admin: Headers, connection: Connection
) -> None:
    ids = [client.post(STORE, json={**EVENT, "id": USER}, headers=admin).json()["id"] for _ in range(2)]

    assert ids == [USER, USER]
    assert scalar(connection, "SELECT count(*) FROM audit_logs") == 1


@pytest.mark.parametrize(
    ("method", "path", "needed", "held"),
    [
        ("POST", STORE, "audit:write", "audit:read"),
        ("GET", FIND, "audit:read", "audit:write"),
        ("GET", f"{FIND}/{USER}", "audit:read", "maintenance:read"),
        ("GET", "/api/admin/maintenance/runs", "maintenance:read", "audit:read"),
    ],
)
def test_each_route_needs_its_scope(
    client: Client, key: Callable[..., Headers], method: str, path: str, needed: str, held: str
) -> None:
    content: dict[str, Any] = {"json": {"eventType": "a"}} if method == "POST" else {}

    refused = client.request(method, path, headers=key(held), **content)
    assert (refused.status_code, refused.json()["type"]) == (403, "/problems/forbidden")
    assert needed in refused.json()["detail"]

    for scope in (needed, "admin"):
        assert client.request(method, path, headers=key(scope), **content).status_code in {200, 201, 404}


def test_a_key_that_was_revoked_no_longer_works(
    client: Client, admin: Headers, connection: Connection
) -> None:
    assert client.get(FIND, headers=admin).status_code == 200

    connection.execute("UPDATE ops.api_keys SET revoked_at = now()")
    time.sleep(KNOWN_SECONDS)

    for headers in (admin, {}, {"Authorization": "Basic eDp5"}, {"Authorization": "Bearer "}):
        answer = client.get(FIND, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")

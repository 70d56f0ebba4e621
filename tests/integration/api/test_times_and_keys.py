"""Small promises of storing and searching: leap seconds, early times, unused keys, a proxy's prefix, CSV."""

import pytest
from litestar.enums import ScopeType
from litestar.testing import TestClient
from litestar.types import Receive, Scope, Send

from api.app import create_app, observed
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.settings import Settings
from tests.integration.api.conftest import Client, Headers

STORE = "/api/audit-logs"
FIND = "/api/admin/audit-logs"
ID = "0191f6b2-4c1e-7c3a-9a57-2f6d1c0e5a99"


@pytest.mark.parametrize("route", [FIND, f"{FIND}/summary", f"{FIND}/export"])
@pytest.mark.parametrize(
    "query", ["endDate=0001-01-01", "endDate=0001-01-01T00:00:00-14:00&startDate=0001-01-01"]
)
def test_the_earliest_time_is_answered(client: Client, admin: Headers, route: str, query: str) -> None:
    answer = client.get(f"{route}?{query}", headers=admin)

    assert answer.status_code == 200
    assert '"count":0' in answer.text or not answer.text


@pytest.mark.parametrize("sent", ["2016-12-31T23:59:60Z", "2016-12-31T18:59:60-05:00"])
def test_a_leap_second_is_taken_as_the_second_after_it(
    client: Client, admin: Headers, connection: Connection, sent: str
) -> None:
    for body in ({"eventType": "leap", "createdAt": sent}, [{"event_type": "leap", "created_at": sent}]):
        assert client.post(STORE, headers=admin, json=body).status_code == 201

    stored = connection.execute("SELECT DISTINCT created_at::text FROM audit_logs WHERE event_type = 'leap'")
    assert stored.fetchall() == [("2017-01-01 00:00:00+00",)]
    for name in ("startDate", "endDate"):
        found = client.get(FIND, params={name: sent, "eventType": "leap"}, headers=admin).json()
        assert found["count"] == 2


def test_a_sixtieth_second_within_a_day_is_none(client: Client, admin: Headers) -> None:
    answer = client.post(STORE, headers=admin, json={"eventType": "a", "createdAt": "2026-03-01T12:30:60Z"})

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "createdAt"


@pytest.mark.parametrize("batch", [False, True])
def test_an_idempotency_key_is_not_used_up_by_a_request_that_stored_nothing(
    client: Client, admin: Headers, connection: Connection, batch: bool
) -> None:
    client.post(STORE, headers=admin, json={"eventType": "first", "id": ID})
    headers = admin | {"Idempotency-Key": "k"}
    conflicting = {"eventType": "second", "id": ID}
    sent = [conflicting, {"action": "without a type"}] if batch else conflicting
    refused = client.post(STORE, headers=headers, json=sent)
    assert refused.status_code == (400 if batch else 409)

    answers = [client.post(STORE, headers=headers, json={"eventType": "second"}) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    assert client.post(STORE, headers=headers, json={"eventType": "third"}).status_code == 422


def test_a_key_stays_used_by_a_batch_that_was_stored_in_part(client: Client, admin: Headers) -> None:
    client.post(STORE, headers=admin, json={"eventType": "first", "id": ID})
    headers = admin | {"Idempotency-Key": "k"}
    partly = client.post(
        STORE, headers=headers, json=[{"eventType": "second", "id": ID}, {"eventType": "second"}]
    )
    assert partly.status_code == 201

    assert client.post(STORE, headers=headers, json={"eventType": "third"}).status_code == 422


def test_next_has_the_prefix_of_a_trusted_proxy(url: str, admin: Headers) -> None:
    options = {"database_url": url, "trusted_proxies": "10.0.0.1"}
    app = observed(create_app(Settings.model_validate(options)))
    peers = ["10.0.0.1"]

    async def behind_a_proxy(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP:
            scope["client"] = (peers[-1], 1)
        await app(scope, receive, send)

    with TestClient(behind_a_proxy) as client:
        for _ in range(2):
            client.post(STORE, headers=admin, json={"eventType": "made"})
        for peer, prefix, expected in (
            ("10.0.0.1", "/ops", "/ops"),
            ("10.0.0.1", "/a/b-c/", "/a/b-c"),
            ("10.0.0.2", "/ops", ""),
            ("10.0.0.1", "//evil", ""),
            ("10.0.0.1", "http://evil", ""),
            ("10.0.0.1", "/a b", ""),
        ):
            peers.append(peer)
            answer = client.get(
                f"{FIND}?limit=1&eventType=made", headers=admin | {"X-Forwarded-Prefix": prefix}
            )
            following = answer.json()["next"]
            assert following.startswith(f"{expected}{FIND}?"), prefix
            assert answer.headers["link"] == f'<{following}>; rel="next"'


def test_csv_guards_every_beginning_of_a_formula(client: Client, admin: Headers) -> None:
    beginnings = ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20"]
    for text in (*beginnings, "x", "\uff0c", "é", "€"):
        assert (
            client.post(STORE, headers=admin, json={"eventType": "csv", "action": f"{text}1"}).status_code
            == 201
        )

    answer = client.get(f"{FIND}/export?format=csv&eventType=csv", headers=admin)

    assert answer.headers["content-type"].count("charset") == 1
    for text in beginnings:
        assert f',"\'{text}1",' in answer.text
    for text in ("x", "\uff0c", "é", "€"):
        assert f',"{text}1",' in answer.text


def test_what_a_page_returns_can_be_posted(client: Client, admin: Headers, connection: Connection) -> None:
    event = {
        "eventType": "made",
        "ipAddress": "10.0.0.0/8",
        "status": "success",
        "durationMs": 4,
        "userId": ID,
    }
    client.post(STORE, headers=admin, json=event | {"resourceId": ID, "details": {"a": [1.5, None]}})
    page = client.get(f"{FIND}?eventType=made", headers=admin).json()["data"]

    assert client.post(STORE, headers=admin, json=page).json()["success"] is True
    assert client.post(STORE, headers=admin, json=page[0]).status_code == 201
    assert client.get(f"{FIND}?eventType=made", headers=admin).json()["data"] == page, "it is the same event"

    connection.execute("DELETE FROM audit_logs WHERE event_type = 'made'")
    assert client.post(STORE, headers=admin, json=page).status_code == 201
    (again,) = client.get(f"{FIND}?eventType=made", headers=admin).json()["data"]
    assert again | {"received_at": None} == page[0] | {"received_at": None}

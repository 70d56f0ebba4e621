"""Refused attempts leave a trace, and cannot fill the audit log."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from litestar.testing import TestClient

from api.app import create_app, observed
from api.audit.store import UnavailableError
from api.auth import keys as known_keys
from ops_pipeline.access import keys, refused_requests, wrong_keys
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.settings import Settings
from tests.integration.api.conftest import Client, Headers

FIND = "/api/admin/audit-logs"
STORE = "/api/audit-logs"
WRONG = {"Authorization": "Bearer ops_wrong"}
TRACE = """
SELECT details, host(ip_address), masklen(ip_address), status, key_id::text, host(peer_address), created_by
FROM audit_logs WHERE action = %s ORDER BY details -> 'requests' DESC, ip_address
"""


@contextmanager
def serving(url: str, **options: Any) -> Iterator[Client]:
    """The API behind a trusted proxy at 10.0.0.1; what it has counted is stored at the end."""
    settings = Settings.model_validate({"database_url": url, "trusted_proxies": "10.0.0.1", **options})
    with TestClient(observed(create_app(settings)), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(autouse=True)
def _at_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test client has an address."""
    plain = known_keys.KnownKeys.require_scope

    async def require_scope(self: known_keys.KnownKeys, connection: Any, handler: Any) -> None:
        connection.scope["client"] = ("10.0.0.1", 1)
        await plain(self, connection, handler)

    monkeypatch.setattr(known_keys.KnownKeys, "require_scope", require_scope)


def via(address: str) -> Headers:
    return {"X-Forwarded-For": address}


def test_requests_without_a_valid_key_become_one_event_an_address_and_minute(
    url: str, connection: Connection
) -> None:
    revoked = keys.create(connection, "old", ["admin"])
    keys.revoke(connection, "old")
    with serving(url) as client:
        for headers in ({}, {}, WRONG, {"Authorization": f"Bearer {revoked.key}"}):
            assert client.get(FIND, headers={**via("192.0.2.7"), **headers}).status_code == 401
        for host in range(3):
            assert client.post(STORE, json={}, headers=via(f"2001:db8::{host}")).status_code == 401

    first, second = connection.execute(TRACE, ["key.refused"]).fetchall()
    details, *columns = first
    assert columns == ["192.0.2.7", 32, "failure", None, "10.0.0.1", None]
    assert details.pop("from") <= details.pop("until")
    assert details == {"requests": 4, "without_key": 2, "wrong_key": 2, "key_ids": [str(revoked.id)]}
    assert (second[0]["requests"], *second[1:3]) == (3, "2001:db8::", 64)


def test_every_request_that_lacks_a_scope_becomes_an_event(url: str, connection: Connection) -> None:
    writer = keys.create(connection, "writer", ["audit:write"])
    headers = {"Authorization": f"Bearer {writer.key}", **via("192.0.2.7")}
    with serving(url) as client:
        assert [client.get(FIND, headers=headers).status_code for _ in range(3)] == [403] * 3

    found = connection.execute(TRACE, ["scope.refused"]).fetchall()
    assert len(found) == 3
    details, *columns = found[0]
    assert columns == ["192.0.2.7", 32, "failure", str(writer.id), "10.0.0.1", "writer"]
    assert details == {"key_id": str(writer.id), "scope": "audit:read", "method": "GET", "route": FIND}


def test_attempts_from_many_addresses_become_few_events_and_none_is_lost_from_the_count(
    url: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refused_requests, "MOST_ADDRESSES", 6)
    monkeypatch.setattr(refused_requests, "MOST_RECORDED", 2)
    with serving(url) as client:
        for host in range(12):
            for _ in range(2 if host in {1, 2} else 1):
                client.get(FIND, headers=via(f"192.0.2.{host}"))

    found = connection.execute(TRACE, ["key.refused"]).fetchall()
    assert [(each[0]["requests"], each[1]) for each in found] == [
        (10, None), (2, "192.0.2.1"), (2, "192.0.2.2")
    ]  # fmt: skip
    assert found[0][0]["other_addresses"] is True


def test_attempts_that_cannot_be_recorded_now_are_recorded_later(
    url: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = create_app(Settings(database_url=url))
    services = app.state.services
    store = services.audit_queue.store

    async def fails(*_: object) -> None:
        raise UnavailableError("not now")

    with TestClient(observed(app)) as client:
        client.get(FIND)
        monkeypatch.setattr(type(services.audit_queue), "store", fails)
        with client.portal() as portal:
            portal.call(services.refusals.record)
        monkeypatch.undo()
        assert services.audit_queue.store == store
        client.get(FIND)

    ((details, *_),) = connection.execute(TRACE, ["key.refused"]).fetchall()
    assert details["requests"] == 2


def test_too_many_wrong_keys_of_an_address_are_refused_before_they_are_looked_up(
    url: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wrong_keys, "MOST_A_MINUTE", 5)
    monkeypatch.setattr(known_keys, "KNOWN_SECONDS", 0.0)  # so that it is looked up each time
    good = {"Authorization": f"Bearer {keys.create(connection, 'good', ['admin']).key}", **via("192.0.2.7")}
    with serving(url) as client:
        assert client.get(FIND, headers=good).status_code == 200
        answers = [client.get(FIND, headers={**WRONG, **via("192.0.2.7")}) for _ in range(8)]
        statuses = [answer.status_code for answer in answers]
        assert client.get(FIND, headers=good).status_code == 200, "a key that was valid before still is"
        assert client.get(FIND, headers={**WRONG, **via("192.0.2.8")}).status_code == 401

    assert statuses == [401] * 5 + [429] * 3
    assert answers[-1].json()["type"] == "/problems/too-many-requests"
    assert 0 < int(answers[-1].headers["retry-after"]) <= 60
    details = connection.execute(TRACE, ["key.refused"]).fetchall()[0][0]
    assert (details["requests"], details["wrong_key"], details["not_looked_up"]) == (8, 5, 3)

"""Scopes of keys over HTTP, how soon changes take effect, and the record of every read."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from litestar import Litestar
from litestar.routes import HTTPRoute
from litestar.testing import TestClient
from litestar.types import ASGIApp

from api.app import create_app, observed
from api.auth.keys import KNOWN_SECONDS
from ops_pipeline.access import keys
from ops_pipeline.postgres.connection import Connection, row, scalar
from ops_pipeline.settings import Settings
from tests.integration.api.serving import serving

Client = TestClient[ASGIApp]
Headers = dict[str, str]
FIND, STORE = "/api/admin/audit-logs", "/api/audit-logs"
ID = "00000000-0000-4000-8000-00000000a11c"
OPEN_TO_ALL = ("/health", "/livez", "/readyz", "/metrics", "/schema")


def routes() -> list[tuple[str, str, str | None]]:
    """Each method and path of the application, with the scope that it names."""
    app: Litestar = create_app(Settings(database_url="postgresql://nobody@127.0.0.1:1/none"))
    return [
        (method, route.path_format, handler.opt.get("scope"))
        for route in app.routes
        if isinstance(route, HTTPRoute) and not route.path.startswith(OPEN_TO_ALL)
        for method, (handler, _) in route.route_handler_map.items()
        if method != "OPTIONS"
    ]


@pytest.mark.parametrize(("method", "path", "scope"), routes())
def test_each_route_answers_only_its_scope_and_admin(
    client: Client, key: Callable[..., Headers], method: str, path: str, scope: str | None
) -> None:
    assert scope in keys.SCOPES, f"{method} {path} names no scope"
    # An unknown parameter ends the endless stream with an error, but only after the key was checked.
    address = path.replace("{event_id}", ID) + "?no-such-parameter=1"

    for each in keys.SCOPES:
        answer = client.request(method, address, headers=key(each))
        if each in {scope, "admin"}:
            assert answer.status_code not in {401, 403, 405}
        else:
            assert (answer.status_code, answer.json()["type"]) == (403, "/problems/forbidden")
            assert scope in answer.json()["detail"]
            challenge = f'Bearer error="insufficient_scope", scope="{scope}"'
            assert answer.headers["www-authenticate"] == challenge
    assert client.request(method, address).status_code == 401


@pytest.mark.parametrize(
    ("headers", "challenge"),
    [
        ({}, "Bearer"),
        ({"Authorization": "Basic eDp5"}, "Bearer"),
        ({"Authorization": "Bearer "}, "Bearer"),
        ({"Authorization": "Bearer ops_wrong"}, 'Bearer error="invalid_token"'),
        ({"Authorization": "Bearer \xff\xfe"}, 'Bearer error="invalid_token"'),
        ({"Authorization": "Bearer " + "x" * 5000}, 'Bearer error="invalid_token"'),
    ],
    ids=range(6),
)
def test_without_a_valid_key_the_answer_says_what_is_missing(
    client: Client, headers: dict[str, str], challenge: str
) -> None:
    given = {name: value.encode("latin-1") for name, value in headers.items()}
    answer = client.get(FIND, headers=given)  # type: ignore[arg-type]  # takes bytes

    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"] == challenge


def test_two_authorization_headers_are_refused_whichever_is_valid(url: str, admin: Headers) -> None:
    (valid,) = admin.items()
    pairs = ([valid, ("Authorization", "Bearer x")], [("authorization", "Basic x"), valid], [valid, valid])
    refusal = {"field": "Authorization", "reason": "is specified more than once; specify it once"}
    event = {"eventType": "x"}

    with serving(url) as address, httpx.Client(base_url=address) as client:
        assert client.post(STORE, json=event, headers=[valid]).status_code == 201  # now the key is known
        for pair in pairs:
            answers = [client.get(path, headers=pair) for path in (FIND, "/health/full", "/health/ready")]
            answers.append(client.post(STORE, json=event, headers=pair))
            assert [answer.status_code for answer in answers] == [400] * 4, pair
            assert all(answer.json()["errors"] == [refusal] for answer in answers)


def test_a_key_works_at_once_and_not_for_long_after_it_expired_or_was_revoked(
    client: Client, connection: Connection
) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    made = [keys.create(connection, name, ["audit:read"], later) for name in ("revoked", "expired", "good")]
    headers = [{"Authorization": f"Bearer {each.key}"} for each in made]
    assert [client.get(FIND, headers=each).status_code for each in headers] == [200, 200, 200]

    keys.revoke(connection, "revoked")
    connection.execute("UPDATE ops.api_keys SET expires_at = now() WHERE name = 'expired'")
    time.sleep(KNOWN_SECONDS)

    assert [client.get(FIND, headers=each).status_code for each in headers] == [401, 401, 200]


def test_a_known_key_is_looked_up_once(client: Client, key: Callable[..., Headers]) -> None:
    headers = key("audit:write")
    client.post(STORE, json={"eventType": "a"}, headers=headers)
    before = _lookups(client)

    for _ in range(5):
        client.post(STORE, json={"eventType": "a"}, headers=headers)

    assert _lookups(client) == before


def test_the_last_use_is_kept_when_the_process_ends(url: str, connection: Connection) -> None:
    made = keys.create(connection, "busy", ["audit:read"])
    unused = keys.create(connection, "idle", ["audit:read"])
    with TestClient(observed(create_app(Settings(database_url=url)))) as client:
        began = datetime.now(UTC)
        assert client.get(FIND, headers={"Authorization": f"Bearer {made.key}"}).status_code == 200
        ended = datetime.now(UTC)

    used = {each.id: each.last_used_at for each in keys.list_keys(connection)}
    kept = used[made.id]
    assert kept is not None
    assert began <= kept <= ended
    assert used[unused.id] is None


def test_the_last_use_is_written_at_most_once_a_minute(
    client: Client, connection: Connection, admin: Headers
) -> None:
    client.get(FIND, headers=admin)
    while (first := scalar(connection, "SELECT max(last_used_at) FROM ops.api_keys")) is None:
        time.sleep(0.1)

    client.get(FIND, headers=admin)
    time.sleep(1.5)

    assert scalar(connection, "SELECT max(last_used_at) FROM ops.api_keys") == first


def test_a_read_is_in_the_log_with_who_asked_for_what_and_how_many_rows(
    client: Client, connection: Connection
) -> None:
    made = keys.create(connection, "auditor", ["admin"])
    headers = {"Authorization": f"Bearer {made.key}"}
    client.post(STORE, json=[{"eventType": "a"}, {"eventType": "b"}], headers=headers)

    client.get(FIND, params={"eventType": "a"}, headers=headers)

    action, details, created_by, status = row(
        connection,
        "SELECT action, details, created_by, status FROM audit_logs WHERE action = 'audit.read'",
    )
    assert (action, created_by, status) == ("audit.read", "auditor", "success")
    assert details["key_id"] == str(made.id)
    assert details["rows"] == 1
    assert "a" in details["filters"].values()


def test_a_read_that_cannot_be_recorded_is_not_answered(
    client: Client, connection: Connection, admin: Headers
) -> None:
    stored = client.post(STORE, json={"eventType": "a"}, headers=admin).json()["id"]
    connection.execute(
        "ALTER TABLE audit_logs ADD CONSTRAINT no_notes CHECK (event_type <> 'audit_access') NOT VALID"
    )

    for path in (FIND, f"{FIND}/{stored}", f"{FIND}/export", f"{FIND}/summary", f"{FIND}/stream"):
        answer = client.get(path, headers=admin)

        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/unavailable"), path
        assert answer.headers["retry-after"]
        assert "data" not in answer.json()


def test_making_and_revoking_a_key_is_in_the_log(connection: Connection) -> None:
    made = keys.create(connection, "probe", ["audit:read"], datetime(2100, 1, 1, tzinfo=UTC))
    keys.revoke(connection, "probe")

    kept = connection.execute(
        "SELECT action, resource_id, details, created_by FROM audit_logs ORDER BY created_at"
    ).fetchall()
    granted: dict[str, Any] = {"name": "probe", "scopes": ["audit:read"]}
    expires = {"expires_at": "2100-01-01T00:00:00+00:00"}
    assert [each[:3] for each in kept] == [
        ("key.create", made.id, granted | expires),
        ("key.revoke", made.id, granted),
    ]
    assert all(created_by for *_, created_by in kept)
    assert made.key not in str(kept)


def _lookups(client: Client) -> float:
    lines = client.get("/metrics").text.splitlines()
    name = 'database_query_duration_ms_count{query_type="authenticate"}'
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def test_no_client_can_forge_a_read_event(client: Client, admin: Headers) -> None:
    forged = {"eventType": "audit_access", "createdBy": "another user"}

    answer = client.post("/api/audit-logs", json=forged, headers=admin)

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "eventType"

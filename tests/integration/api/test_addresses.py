"""Each route has one address, knows its parameters, and answers HEAD as GET."""

from collections.abc import Iterator

import httpx
import pytest

from ops_pipeline.postgres.connection import Connection
from tests.integration.api.conftest import Client, Headers
from tests.integration.api.serving import serving

FIND = "/api/admin/audit-logs"
STORE = "/api/audit-logs"
ROUTES = [
    "/health/live", "/health/ready", "/health/startup", "/health/full", "/health/full/database", "/metrics",
    "/schema", FIND, f"{FIND}/export", f"{FIND}/summary", f"{FIND}/stream", "/api/admin/maintenance/runs",
    "/api/admin/maintenance/plan",
]  # fmt: skip


@pytest.fixture
def base(url: str) -> Iterator[str]:
    with serving(url) as address:
        yield address


def test_head_is_answered_as_get_without_a_body(base: str, admin: Headers) -> None:
    with httpx.Client(base_url=base, headers=admin, timeout=30) as client:
        for route in ROUTES:
            answer = client.head(route)
            assert (answer.status_code, answer.content) == (200, b""), route
        assert (
            client.get("/schema").headers["content-length"]
            == client.head("/schema").headers["content-length"]
        )
        assert client.head(f"{FIND}/none").status_code == 404
        assert client.head(FIND, headers={"Authorization": ""}).status_code == 401
        assert set(client.head(STORE).headers["allow"].split(", ")) == {"OPTIONS", "POST"}
        assert "HEAD" in client.post("/health/live").headers["allow"]


def test_a_head_request_of_a_read_is_recorded(client: Client, admin: Headers, connection: Connection) -> None:
    assert client.head(FIND, headers=admin).status_code == 200

    reads = connection.execute("SELECT action FROM audit_logs WHERE event_type = 'audit_access'").fetchall()
    assert reads == [("audit.read",)]


@pytest.mark.parametrize("route", ["/health/live", FIND, f"{FIND}/summary"])
def test_another_spelling_of_a_path_is_not_found(client: Client, admin: Headers, route: str) -> None:
    slash = route.rindex("/")
    for spelling in (
        f"{route}/",
        f"{route}//",
        f"/{route}",
        f"{route[:slash]}/{route[slash:]}",
        f"{route[:slash]}%2f{route[slash + 1 :]}",
        f"{route[:slash]}%2F{route[slash + 1 :]}",
    ):
        answer = client.get(f"http://testserver.local{spelling}", headers=admin)
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found"), spelling
    assert client.get(f"{route}", headers=admin).status_code == 200


@pytest.mark.parametrize("spelling", ["/api%2faudit-logs", "/api//audit-logs", "/api/audit-logs/"])
def test_nothing_is_stored_through_another_spelling(client: Client, admin: Headers, spelling: str) -> None:
    assert client.post(STORE, headers=admin, json={"eventType": "made"}).status_code == 201

    answer = client.post(spelling, headers=admin, json={"eventType": "made"})

    assert answer.status_code == 404


@pytest.mark.parametrize("route", ROUTES)
def test_an_unknown_parameter_is_refused_on_every_route(client: Client, admin: Headers, route: str) -> None:
    answer = client.get(f"{route}?made-up=1", headers=admin)

    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == ["made-up"]


def test_an_unknown_parameter_of_a_post_is_refused(client: Client, admin: Headers) -> None:
    for _ in range(2):  # the second one with a key that is remembered
        answer = client.post(f"{STORE}?made-up=1", headers=admin, json={"eventType": "made"})
        assert answer.status_code == 400
        client.post(STORE, headers=admin, json={"eventType": "made"})


def test_only_a_list_may_be_repeated(client: Client, admin: Headers) -> None:
    assert client.get("/health/full?exclude=disk&exclude=memory").status_code in (200, 400)
    answer = client.get("/api/admin/maintenance/runs?limit=1&limit=2", headers=admin)

    assert answer.status_code == 400
    assert answer.json()["errors"] == [
        {"field": "limit", "reason": "is specified more than once; specify it once"}
    ]


@pytest.mark.parametrize(
    "path",
    ["/health/live", "/livez", "/health/ready", "/health/startup", "/health/full", "/health/full/database"],
)
def test_a_probe_may_ask_every_tier_for_details(client: Client, path: str) -> None:
    assert client.get(f"{path}?verbose").status_code == client.get(path).status_code

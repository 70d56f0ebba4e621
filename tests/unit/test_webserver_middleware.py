"""What a page of another origin can send gets no further than the sign-in middleware of the Dagster UI."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from ops_pipeline.orchestration import identity
from ops_pipeline.orchestration.webserver import document, middleware, usage
from ops_pipeline.orchestration.webserver.addresses import Addresses
from ops_pipeline.orchestration.webserver.evidence import Evidence
from ops_pipeline.orchestration.webserver.known_keys import KnownKeys
from ops_pipeline.orchestration.webserver.middleware import SignInMiddleware
from ops_pipeline.orchestration.webserver.sessions import LASTS_SECONDS, MOST, MOST_OF_KEY, Sessions
from ops_pipeline.settings import Settings

OURS = "http://127.0.0.1:3000"
QUERY = {"query": "{version}"}
JSON = {"Content-Type": "application/json"}
NAVIGATION = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
NO_DATABASE = "postgresql://nobody@127.0.0.1:1/app"


async def _answer(request: Request) -> JSONResponse:
    person = request.scope.get(identity.IN_SCOPE)
    return JSONResponse({"person": person and person.name})


async def _accept(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_json({"person": websocket.scope[identity.IN_SCOPE].name})
    with suppress(TimeoutError):
        await asyncio.wait_for(websocket.receive(), timeout=10)
        return
    await websocket.close(reason="The middleware has not ended it")


BEHIND = Starlette(
    routes=[
        WebSocketRoute("/graphql", _accept),
        Route("/{path:path}", _answer, methods=["GET", "POST", "PUT", "OPTIONS"]),
    ]
)
Client = Callable[..., TestClient]


def _behind_sign_in(sessions: Sessions, **settings: Any) -> SignInMiddleware:
    configured = Settings(**settings)
    return SignInMiddleware(
        BEHIND,
        addresses=Addresses.of(configured),
        keys=KnownKeys(NO_DATABASE),
        evidence=Evidence(NO_DATABASE),
        sessions=sessions,
        find_run=lambda _: None,
        user_header=configured.dagster_user_header,
    )


@pytest.fixture
def sessions() -> Sessions:
    return Sessions(first_token="first", first_person="ada")


@pytest.fixture
def client(sessions: Sessions) -> Iterator[TestClient]:
    """A browser in which ada has signed in by the link of `opsctl up`."""
    with TestClient(_behind_sign_in(sessions), base_url=OURS, follow_redirects=False) as browser:
        assert browser.get("/sign-in?token=first").headers["location"] == "/"
        yield browser


def test_a_signed_in_person_gets_through_and_is_named(client: TestClient) -> None:
    assert client.post("/graphql", json=QUERY, headers={"Origin": OURS}).json() == {"person": "ada"}
    assert client.get("/runs").json() == {"person": "ada"}
    assert client.get("/runs").headers["x-frame-options"] == "SAMEORIGIN"


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "http://localhost:8080", "https://127.0.0.1:3000", "null"]
)
def test_a_request_of_another_origin_is_refused(client: TestClient, origin: str) -> None:
    answer = client.post("/graphql", json=QUERY, headers={"Origin": origin})

    assert answer.status_code == 403
    assert "nothing was done" in answer.json()["errors"][0]["message"]


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:3000", "127.0.0.1.evil.example:3000", "", "evil.example@localhost",
     "localhost#evil.example", "localhost:3000/x", "localhost?x", "localhost:3000:3000", "localhost:x",
     "[::1", "[::1]x", "localhost:"],
)  # fmt: skip
def test_a_request_to_another_host_is_refused(client: TestClient, host: str) -> None:
    for path in ("/", "/server_info", "/sign-in"):
        answer = client.get(path, headers={"Host": host})
        assert answer.status_code == 400
        assert "OPS_DAGSTER_URL" in answer.text


@pytest.mark.parametrize("host", ["localhost:3000", "127.0.0.1:3000", "[::1]:3000", "localhost:13000"])
def test_this_machine_may_be_named_in_any_way_and_at_the_port_of_a_tunnel(
    client: TestClient, host: str
) -> None:
    assert client.post("/graphql", json=QUERY, headers={"Host": host, "Origin": f"http://{host}"}).is_success


def test_an_image_or_a_script_of_another_site_reads_and_starts_nothing(client: TestClient) -> None:
    for site in ("cross-site", "same-site"):
        embedded = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
        framed = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}
        for headers in (embedded, framed):
            assert client.get("/runs", headers=headers).status_code == 403
    # A browser without these headers:
    mutation = "/graphql?query=mutation{launchRun(executionParams:{}){__typename}}"
    assert client.get(mutation, headers={"Accept": "image/*"}).status_code == 405


def test_a_link_of_another_site_opens_a_page_and_a_form_of_it_posts_nothing(client: TestClient) -> None:
    linked = {"Sec-Fetch-Site": "cross-site", **NAVIGATION}

    assert client.get("/runs/1", headers=linked).status_code == 200
    assert client.post("/graphql", json=QUERY, headers=linked).status_code == 403


FORMS = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x")
OTHERS = ("application/graphql", "text/plain; application/json", "")


@pytest.mark.parametrize("content_type", FORMS + OTHERS)
def test_only_json_is_posted(client: TestClient, content_type: str) -> None:
    for path in ("/graphql", "/report_asset_materialization/app/retention/sessions"):
        answer = client.post(path, content=b'{"query": "{version}"}', headers={"Content-Type": content_type})
        assert answer.status_code == 415


def test_a_body_that_is_too_large_is_refused(client: TestClient) -> None:
    fields = json.dumps({"query": f"mutation {{{'a ' * 2_000_000}}}"})
    asset = json.dumps({"metadata": {"a": "b" * 1_100_000}})
    for path, body in (("/graphql", fields), ("/report_asset_materialization/a", asset)):
        answer = client.post(path, content=body, headers=JSON)
        assert answer.status_code == 413
        assert "The body has more than 1048576 bytes. Nothing was done" in answer.text


def test_while_a_document_is_read_others_are_served(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, enough = threading.Event(), threading.Event()

    def read(_: str, *__: object) -> document.Document:
        reading.set()
        assert enough.wait(30)
        return document.Document(None, {}, (), only_subscribes=False)

    monkeypatch.setattr(document, "read", read)
    with ThreadPoolExecutor() as other:
        posted = other.submit(client.post, "/graphql", json=QUERY)
        assert reading.wait(30)
        assert client.get("/runs").json() == {"person": "ada"}
        enough.set()
        assert posted.result().json() == {"person": "ada"}


def test_a_person_with_many_requests_leaves_others_theirs(
    client: TestClient, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage, "MOST_REQUESTS", 1)
    monkeypatch.setattr(usage, "MOST_WAITING", 0)
    monkeypatch.setattr(usage, "MOST_WEBSOCKETS", 1)
    reading, enough = threading.Event(), threading.Event()

    def read(text: str, *_: object) -> document.Document:
        if text == "{slow}":
            reading.set()
            assert enough.wait(30)
        return document.Document(None, {}, (), only_subscribes=False)

    monkeypatch.setattr(document, "read", read)
    grace = {"Cookie": f"ops_session_3000={sessions.open('grace', None)}"}
    with ThreadPoolExecutor() as other:
        posted = other.submit(client.post, "/graphql", json={"query": "{slow}"})
        assert reading.wait(30)
        try:
            refused = client.post("/graphql", json=QUERY)
            assert refused.status_code == 429
            assert "ada has 1 requests in progress" in refused.json()["errors"][0]["message"]
            assert client.get("/runs").status_code == 429, "whatever they ask for"
            client.cookies.clear()
            assert client.post("/graphql", json=QUERY, headers=grace).json() == {"person": "grace"}
            assert client.get("/runs", headers=grace).json() == {"person": "grace"}
        finally:
            enough.set()
        assert posted.result().is_success
    headers = grace | {"Origin": OURS}
    with client.websocket_connect(f"{WS}/graphql", headers=headers) as opened:
        opened.receive_json()
        with pytest.raises(WebSocketDisconnect):
            client.websocket_connect(f"{WS}/graphql", headers=headers).__enter__()


def test_the_playground_is_a_page_and_executes_nothing(client: TestClient) -> None:
    assert client.get("/graphql", headers={"Accept": "text/html"}).status_code == 200
    assert client.get("/graphql?query={version}").status_code == 405
    put = client.put("/graphql", json=QUERY)
    assert (put.status_code, put.headers["allow"]) == (405, "GET, HEAD, POST")
    assert "Method not allowed: PUT. Allowed: GET, HEAD, POST" in put.text


def test_a_form_of_another_site_signs_no_one_in(client: TestClient) -> None:
    form = {"key": "ops_of_the_attacker"}

    assert client.post("/sign-in", data=form, headers={"Origin": "http://evil.example"}).status_code == 403
    assert client.post("/sign-in", data={"key": "x" * 9000}).status_code == 413


def test_a_client_cannot_name_itself(sessions: Sessions) -> None:
    client = TestClient(_behind_sign_in(sessions), base_url=OURS)
    claimed = {identity.IN_SCOPE: "ada", "X-Forwarded-User": "ada", "Cookie": "ops_session_3000=guess"}

    assert client.post("/graphql", json=QUERY, headers=claimed).status_code == 401
    assert client.get("/server_info").json() == {"person": None}, "for health checks"


def test_a_websocket_needs_our_origin_and_a_session(client: TestClient, sessions: Sessions) -> None:
    with client.websocket_connect(f"{WS}/graphql", headers={"Origin": OURS}) as opened:
        assert opened.receive_json() == {"person": "ada"}
    for browser, origin in (
        (client, "http://evil.example"),
        (TestClient(_behind_sign_in(sessions), base_url=OURS), OURS),
    ):
        with pytest.raises(WebSocketDisconnect) as refused:
            browser.websocket_connect(f"{WS}/graphql", headers={"Origin": origin}).__enter__()
        assert refused.value.code == 1008


WS = OURS.replace("http", "ws")


def test_a_websocket_ends_with_its_session(
    client: TestClient, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(middleware, "CHECK_SECONDS", 0.01)
    with client.websocket_connect(f"{WS}/graphql", headers={"Origin": OURS}) as opened:
        opened.receive_json()
        sessions.close(client.cookies["ops_session_3000"])

        with pytest.raises(WebSocketDisconnect) as ended:
            opened.receive_json()
    assert ended.value.reason == "The session has ended"


def test_the_link_of_opsctl_up_signs_in_once(client: TestClient, sessions: Sessions) -> None:
    stranger = TestClient(_behind_sign_in(sessions), base_url=OURS, follow_redirects=False)

    again = stranger.get("/sign-in?token=first")
    assert again.status_code == 401
    assert "This link was used before, or `opsctl up` has been restarted" in again.text
    assert client.get("/sign-in?token=first").headers["location"] == "/", "ada is signed in already"


def test_a_session_lasts_for_a_shift_and_the_oldest_makes_room() -> None:
    now = 0.0
    sessions = Sessions(clock=lambda: now)
    token = sessions.open("ada", None)
    now = LASTS_SECONDS - 1
    assert sessions.find(token) is not None
    now = LASTS_SECONDS
    assert sessions.find(token) is None

    tokens = [sessions.open(f"person {number // MOST_OF_KEY}", None) for number in range(MOST + 1)]
    assert sessions.find(tokens[0]) is None
    assert sessions.find(tokens[1]) is not None


def test_a_key_ends_its_own_sessions_and_no_one_elses() -> None:
    sessions = Sessions()
    ada = sessions.open("ada", b"the hash of her key")

    eves = [sessions.open("eve", b"another") for _ in range(MOST + 1)]

    assert sessions.find(ada) is not None
    assert [sessions.find(token) is not None for token in eves].count(True) == MOST_OF_KEY
    assert sessions.find(eves[-1]) is not None


def test_behind_a_proxy_the_public_address_is_ours_and_its_cookie_is_secure() -> None:
    sessions = Sessions(first_token="first", first_person="ada")
    app = _behind_sign_in(sessions, dagster_url="https://Ops.example.com/")
    browser = TestClient(app, base_url="https://ops.example.com", follow_redirects=False)

    cookie = browser.get("/sign-in?token=first").headers["set-cookie"]
    ours = browser.post("/graphql", json=QUERY, headers={"Origin": "https://ops.example.com"})
    theirs = browser.post("/graphql", json=QUERY, headers={"Origin": "http://ops.example.com"})

    assert cookie.startswith("__Host-ops_session=")
    assert "; Secure" in cookie
    assert (ours.status_code, theirs.status_code) == (200, 403)


def test_a_proxy_that_has_signed_people_in_names_them_where_its_header_is_set(sessions: Sessions) -> None:
    client = TestClient(_behind_sign_in(sessions, dagster_user_header="X-Forwarded-User"), base_url=OURS)

    named = client.post("/graphql", json=QUERY, headers={"X-Forwarded-User": "Zoë".encode()})
    twice = client.post(
        "/graphql", json=QUERY, headers=[("X-Forwarded-User", "ada"), ("X-Forwarded-User", "eve")]
    )
    unnamed = client.post("/graphql", json=QUERY)

    assert named.json() == {"person": "Zoë"}
    assert (twice.status_code, unnamed.status_code) == (400, 401)


@pytest.mark.parametrize(
    ("given", "public"),
    [
        ({}, OURS),
        ({"dagster_host": "0.0.0.0", "dagster_port": 80}, "http://127.0.0.1"),  # noqa: S104
        ({"dagster_host": "::1"}, "http://[::1]:3000"),
        ({"dagster_url": "https://ops.example.com:443/"}, "https://ops.example.com"),
        ({"dagster_url": "http://Ops:8080"}, "http://ops:8080"),
    ],
)
def test_the_public_address_is_written_as_browsers_write_it(given: dict[str, Any], public: str) -> None:
    assert Settings(**given).public_dagster_url == public

"""People sign in with a key, and their session ends with it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from ops_pipeline.access import keys
from ops_pipeline.orchestration.webserver import known_keys, middleware
from ops_pipeline.postgres.connection import Connection, scalar
from tests.eventually import eventually
from tests.integration.webserver.served import Served

VERSION = {"query": "{version}"}
Key = Callable[..., str]


@pytest.fixture
def browser(served: Served) -> httpx.Client:
    return httpx.Client(base_url=served.address, headers={"Accept": "text/html", "Origin": served.address})


def _sign_in(browser: httpx.Client, key: str, **fields: str) -> httpx.Response:
    return browser.post("/sign-in", data={"key": key, **fields})


def _asks(browser: httpx.Client) -> int:
    return browser.post("/graphql", json=VERSION).status_code


def test_a_page_leads_to_the_sign_in_and_back(browser: httpx.Client, key: Key) -> None:
    asked = browser.get("/runs?status=FAILURE")
    assert (asked.status_code, asked.headers["location"]) == (303, "/sign-in?next=/runs%3Fstatus%3DFAILURE")
    form = browser.get(asked.headers["location"])
    assert 'value="/runs?status=FAILURE"' in form.text

    signed_in = _sign_in(browser, key(), next="/runs?status=FAILURE")

    assert (signed_in.status_code, signed_in.headers["location"]) == (303, "/runs?status=FAILURE")
    assert "HttpOnly" in signed_in.headers["set-cookie"]
    assert "samesite=lax" in signed_in.headers["set-cookie"].lower()
    assert browser.get("/runs?status=FAILURE").status_code == 200
    assert _asks(browser) == 200
    assert "Signed in as <strong>ada</strong>" in browser.get("/sign-in").text


@pytest.mark.parametrize("elsewhere", ["https://evil.example", "//evil.example", "/\\evil.example"])
def test_the_sign_in_leads_to_no_other_site(browser: httpx.Client, key: Key, elsewhere: str) -> None:
    assert _sign_in(browser, key(), next=elsewhere).headers["location"] == "/"


def test_signing_out_ends_the_session(browser: httpx.Client, key: Key) -> None:
    _sign_in(browser, key())
    cookies = dict(browser.cookies)

    assert browser.post("/sign-out", data={}).headers["location"] == "/sign-in"

    assert _asks(browser) == 401
    browser.cookies.update(cookies)
    assert _asks(browser) == 401, "a copy of the cookie does not work either"


def test_a_sign_in_is_in_the_audit_log_and_on_the_key(
    browser: httpx.Client, key: Key, app: Connection
) -> None:
    _sign_in(browser, key("grace"))

    said = "SELECT created_by FROM audit_logs WHERE action = 'key.sign_in' AND details ->> 'name' = 'grace'"
    assert scalar(app, said) == "grace"
    assert scalar(app, "SELECT last_used_at IS NOT NULL FROM ops.api_keys WHERE name = 'grace'")


def test_a_key_that_is_invalid_or_lacks_the_scope_signs_nobody_in(browser: httpx.Client, key: Key) -> None:
    unknown = _sign_in(browser, f"{keys.PREFIX}unknown")
    lacking = _sign_in(browser, key("reader", "maintenance:read"))

    assert (unknown.status_code, lacking.status_code) == (401, 403)
    assert "The key is invalid" in unknown.text
    assert "lacks the scope maintenance:write" in lacking.text
    assert _asks(browser) == 401


def test_the_roles_for_reading_and_storing_are_enough_and_a_missing_one_is_named(
    browser: httpx.Client, key: Key, served: Served, app: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.execute("CREATE ROLE ui LOGIN PASSWORD 'ui'; GRANT ops_reader TO ui")
    try:
        place = app.info
        monkeypatch.setattr(served.keys, "_url", f"postgresql://ui:ui@127.0.0.1:{place.port}/{place.dbname}")
        refused = _sign_in(browser, key("roles"))
        assert refused.status_code == 503
        assert "permission denied for table api_keys. To allow it: GRANT" in refused.text

        app.execute("GRANT ops_writer TO ui")
        assert _sign_in(browser, key("roles")).status_code == 303
        assert _sign_in(browser, f"{keys.PREFIX}unknown").status_code == 401
    finally:
        app.execute("DROP ROLE ui")


def test_a_script_sends_its_key(served: Served, bearer: dict[str, str], key: Key) -> None:
    def status(authorization: str) -> int:
        headers = {"Authorization": authorization}
        return httpx.post(f"{served.address}/graphql", json=VERSION, headers=headers).status_code

    assert status(bearer["Authorization"]) == 200
    assert status(f"Bearer {key('all', 'admin')}") == 200
    assert status(f"Bearer {key('reads', 'audit:read')}") == 403
    assert status("Bearer ops_unknown") == 401


@pytest.mark.parametrize("end", ["revoked", "expired"])
def test_a_session_ends_with_its_key(
    end: str, browser: httpx.Client, key: Key, app: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_keys, "REMEMBERED_SECONDS", 0.2)
    _sign_in(browser, key(end))
    assert _asks(browser) == 200

    if end == "revoked":
        keys.revoke(app, end)
    else:
        past = datetime.now(UTC) - timedelta(seconds=1)
        app.execute("UPDATE ops.api_keys SET expires_at = %s WHERE name = 'expired'", [past])

    eventually(lambda: _asks(browser) == 401)
    assert browser.get("/").status_code == 303


def test_while_the_database_does_not_answer_known_people_stay_and_no_one_new_signs_in(
    browser: httpx.Client, key: Key, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_keys, "REMEMBERED_SECONDS", 0.0)
    _sign_in(browser, key("early"))
    late = key("late")

    monkeypatch.setattr(served.keys, "_url", "postgresql://nobody@127.0.0.1:1/app")

    assert _asks(browser) == 200
    refused = _sign_in(httpx.Client(base_url=served.address), late)
    assert refused.status_code == 503
    assert "The key cannot be checked" in refused.text


def test_a_websocket_ends_with_its_key_although_the_key_is_remembered(
    served: Served, key: Key, app: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(middleware, "CHECK_SECONDS", 0.2)
    headers = {"Authorization": f"Bearer {key('listens')}"}
    address = served.address.replace("http", "ws") + "/graphql"
    with connect(address, additional_headers=headers, subprotocols=[Subprotocol("graphql-ws")]) as opened:
        keys.revoke(app, "listens")

        with pytest.raises(ConnectionClosed) as closed:
            opened.recv(20)

    assert "The session has ended" in str(closed.value)
    assert httpx.post(f"{served.address}/graphql", json=VERSION, headers=headers).status_code == 401

"""A browser's EventSource, which sends no header, opens the live tail with a token of a key."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from api.auth import tail_tokens
from ops_pipeline.postgres.connection import Connection
from tests.integration.api.conftest import Client, Headers
from tests.integration.api.process import Api

FIND = "/api/admin/audit-logs"
STREAM = f"{FIND}/stream"
INSERT = "INSERT INTO audit_logs (event_type, action) VALUES ('made', %s)"


@pytest.fixture
def api(url: str, tmp_path: Path) -> Iterator[Api]:
    running = Api.start(tmp_path, url)
    yield running
    if running.popen.poll() is None:
        running.popen.kill()
        running.popen.wait()


def _token(base: str, headers: Headers) -> str:
    answer = httpx.post(f"{base}{STREAM}/token", headers=headers)
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    return str(answer.json()["token"])


def _lines(base: str, begin: str, **parameters: str) -> Iterator[str]:
    """The values of the stream's lines that begin so."""
    with httpx.stream("GET", f"{base}{STREAM}", params=parameters, timeout=30) as answer:
        assert answer.status_code == 200
        for line in answer.iter_lines():
            if line.startswith((begin, "retry")):
                yield line.partition(": ")[2]


def test_a_token_opens_the_tail_and_continues_it(api: Api, admin: Headers, connection: Connection) -> None:
    token = _token(api.address, admin)
    ids = _lines(api.address, "id", token=token, eventType="made")
    assert next(ids) == "1000"
    connection.execute(INSERT, ["first"])
    place = next(ids)
    connection.execute(INSERT, ["second"])

    events = _lines(api.address, "data", token=token, eventType="made", lastEventId=place)

    assert next(events) == "1000"
    assert '"action": "second"' in next(events).replace('":"', '": "')
    assert token not in api.log.read_text()
    recorded = connection.execute(
        "SELECT DISTINCT details::text FROM audit_logs WHERE action = 'audit.tail.started'"
    ).fetchall()
    assert recorded
    assert all(token not in details and "with_token" in details for (details,) in recorded)


def test_a_token_is_good_for_the_tail_alone(client: Client, admin: Headers) -> None:
    token = client.post(f"{STREAM}/token", headers=admin).json()["token"]

    assert client.get(FIND, headers={"Authorization": f"Bearer {token}"}).status_code == 401
    assert client.get(f"{FIND}?token={token}", headers=admin).status_code == 400
    assert client.get(f"{FIND}/export?token={token}").status_code == 401
    assert client.post(f"{STREAM}/token?token={token}").status_code == 401
    both = client.head(f"{STREAM}?token={token}", headers=admin)
    assert both.status_code == 400


def test_a_token_ends_with_its_key_and_needs_its_scope(
    client: Client, key: Callable[..., Headers], connection: Connection
) -> None:
    reader = key("audit:read")
    assert client.post(f"{STREAM}/token", headers=key("audit:write")).status_code == 403
    token = client.post(f"{STREAM}/token", headers=reader).json()["token"]
    assert client.head(f"{STREAM}?token={token}").status_code == 200

    connection.execute("UPDATE ops.api_keys SET revoked_at = now()")

    assert client.head(f"{STREAM}?token={token}").status_code == 401


def test_a_token_is_short_lived_and_cannot_be_forged(
    client: Client, admin: Headers, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = client.post(f"{STREAM}/token", headers=admin).json()
    token = answer["token"]
    assert 0 < tail_tokens.VALID_SECONDS <= 300

    changed = token[:20] + ("A" if token[20] != "A" else "B") + token[21:]
    for forged in (changed, token[:-4], "", "x", "ops_tail_", "ops_tail_é"):
        refused = client.head(STREAM, params={"token": forged})
        assert refused.status_code == 401, forged

    now = time.time()
    monkeypatch.setattr("api.auth.tail_tokens.time.time", lambda: now + tail_tokens.VALID_SECONDS + 1)
    assert client.head(f"{STREAM}?token={token}").status_code == 401

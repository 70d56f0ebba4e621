"""No secret of a posted event is stored, on whatever way it comes, and a retry is recognized all the same."""

import gzip
import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from api.app import create_app, observed
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.settings import Settings
from tests.integration.api.conftest import Client, Headers

STORE = "/api/audit-logs"
SECRET = "hunter2-hunter2"
DETAILS = {"user": {"Password": SECRET, "name": "ada"}, "steps": [{"access-token": SECRET}, 1]}
REDACTED = {"user": {"Password": "[redacted]", "name": "ada"}, "steps": [{"access-token": "[redacted]"}, 1]}
EVENT = {"eventType": "login", "action": f"GET /?pwd={SECRET}&page=2", "details": DETAILS}
BY_COLUMN = {"event_type": "login", "action": EVENT["action"], "details": DETAILS}
STORED = ("GET /?pwd=[redacted]&page=2", REDACTED)
KEY = "Idempotency-Key"


def one(event: dict[str, Any]) -> bytes:
    return json.dumps(event).encode()


def lines(*events: dict[str, Any]) -> bytes:
    return b"\n".join(map(one, events))


def stored(connection: Connection) -> list[tuple[Any, ...]]:
    rows = "SELECT action, details FROM audit_logs WHERE event_type = 'login'"
    return connection.execute(rows).fetchall()


def holds_secret(connection: Connection) -> bool:
    found = connection.execute("SELECT bool_or(a::text LIKE %s) FROM audit_logs AS a", [f"%{SECRET}%"])
    return found.fetchall() == [(True,)]


@pytest.fixture
def with_names(url: str) -> Iterator[Callable[..., Client]]:
    """The API with a list of redacted names."""
    made: list[Client] = []

    def create(*names: str) -> Client:
        settings = Settings(database_url=url, audit_redacted_fields=names)
        client: Client = TestClient(observed(create_app(settings)))
        made.append(client)
        return client.__enter__()

    yield create
    for client in made:
        client.__exit__(None, None, None)


@pytest.mark.parametrize(
    ("body", "headers", "events"),
    [
        (one(EVENT), {"Content-Type": "application/json; charset=utf-8"}, 1),
        (one(BY_COLUMN), {}, 1),
        (json.dumps(EVENT, indent=2).encode(), {}, 1),
        (gzip.compress(one(EVENT), mtime=0), {"Content-Encoding": "gzip"}, 1),
        (one(EVENT), {KEY: "k"}, 1),
        (b"[%b, %b]" % (one(EVENT), one(BY_COLUMN)), {}, 2),
        (b"[%b, 1]" % one(EVENT), {}, 1),
        (b"[%b]" % b",".join([one(EVENT)] * 1500), {}, 1500),
        (lines(EVENT, EVENT), {"Content-Type": "application/x-ndjson"}, 2),
        (lines(EVENT, EVENT), {KEY: "k"}, 2),
        (gzip.compress(lines(EVENT, BY_COLUMN), mtime=0), {"Content-Encoding": "gzip"}, 2),
    ],
)
def test_a_secret_is_stored_on_no_way(
    client: Client, admin: Headers, connection: Connection, body: bytes, headers: Headers, events: int
) -> None:
    answer = client.post(STORE, content=body, headers={**admin, **headers})

    assert answer.status_code == 201, answer.text
    assert stored(connection) == [STORED] * events
    assert not holds_secret(connection)


def test_a_secret_is_not_stored_without_the_framework_either(
    client: Client, admin: Headers, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.post(STORE, json={"eventType": "first"}, headers=admin)  # from now on the key is known

    async def unreachable(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(Litestar, "__call__", unreachable)

    assert client.post(STORE, content=one(EVENT), headers=admin).status_code == 201
    assert stored(connection) == [STORED]


def test_a_retry_of_the_original_is_a_duplicate_and_another_event_a_conflict(
    client: Client, admin: Headers, connection: Connection
) -> None:
    event = {**EVENT, "id": str(uuid4())}
    first = client.post(STORE, json=event, headers=admin)
    (read,) = client.get("/api/admin/audit-logs?eventType=login", headers=admin).json()["data"]

    again = [
        client.post(STORE, json=event, headers=admin),
        client.post(STORE, json=[event], headers=admin),
        client.post(STORE, json={**event, "details": REDACTED}, headers=admin),
        client.post(STORE, json=read, headers=admin),
    ]
    other = client.post(STORE, json={**event, "details": {**DETAILS, "user": "eve"}}, headers=admin)

    assert [answer.status_code for answer in [first, *again, other]] == [201] * 5 + [409]
    assert stored(connection) == [STORED]


def test_what_is_kept_of_an_idempotency_key_does_not_depend_on_secrets(
    client: Client, admin: Headers, connection: Connection
) -> None:
    headers = {**admin, KEY: "k"}
    broken = f'{{"eventType": "login", "details": {{"password": "{SECRET}'

    def post(*events: str, password: str = SECRET) -> tuple[int, Any]:
        body = "[" + ",".join(events).replace(SECRET, password) + "]"
        answer = client.post(STORE, content=body, headers=headers)
        return answer.status_code, answer.json().get("results")

    invalid = json.dumps({"eventType": 1, "details": {"token": SECRET}})
    first = post(json.dumps(EVENT), invalid)

    assert first[0] == 201
    assert post(json.dumps(EVENT), invalid) == first
    assert post(json.dumps(EVENT), invalid, password="x") == first
    assert post(json.dumps({**EVENT, "action": "other"}))[0] == 422
    assert post(json.dumps(EVENT))[0] == 422
    headers[KEY] = "single"
    assert client.post(STORE, content=one(EVENT), headers=headers).status_code == 201
    assert client.post(STORE, content=broken, headers=headers).status_code == 400
    digests = {bytes(digest) for (digest,) in connection.execute(
        "SELECT body_sha256 FROM ops.audit_receipts WHERE body_sha256 IS NOT NULL")}  # fmt: skip
    assert len(digests) == 2
    assert hashlib.sha256(one(EVENT)).digest() not in digests


def test_the_limit_of_details_counts_what_is_stored(
    client: Client, admin: Headers, connection: Connection
) -> None:
    large = {"eventType": "login", "details": {"privateKey": SECRET * 10_000}}
    too_large = {"eventType": "login", "details": {"privateKeyId": SECRET * 10_000}}

    assert client.post(STORE, json=large, headers=admin).status_code == 201
    assert client.post(STORE, json=too_large, headers=admin).status_code == 400
    assert stored(connection) == [(None, {"privateKey": "[redacted]"})]


def test_a_text_that_redaction_makes_longer_than_its_column_is_cut(
    client: Client, admin: Headers, connection: Connection
) -> None:
    action = f"{'x' * 94} pwd=a"

    assert client.post(STORE, json={"eventType": "login", "action": action}, headers=admin).status_code == 201
    assert (
        client.post(STORE, json={"eventType": "login", "action": f"xx{action}"}, headers=admin).status_code
        == 400
    )
    assert stored(connection) == [(f"{'x' * 94} pwd=[", None)]


def test_numbers_beside_a_secret_are_stored_as_they_were_written(
    client: Client, admin: Headers, connection: Connection
) -> None:
    numbers = "[1.10, 12345678901234567890123, 0.1000000000000000055511151231257827]"
    body = f'{{"eventType": "login", "details": {{"n": {numbers}, "password": 17}}}}'

    assert client.post(STORE, content=body, headers=admin).status_code == 201
    assert scalar(connection, "SELECT details->>'n' FROM audit_logs WHERE event_type = 'login'") == numbers


def test_the_list_of_names_is_a_setting(
    with_names: Callable[..., Client], admin: Headers, connection: Connection
) -> None:
    details = {"IBANs": SECRET, "my-iban": SECRET, "homePhone": SECRET, "password": SECRET, "userId": 1}

    answer = with_names("iban", "*phone", "userId").post(
        STORE, json={"eventType": "login", "userId": str(uuid4()), "details": details}, headers=admin
    )

    assert answer.status_code == 201
    ((_, kept),) = stored(connection)
    assert kept == {**details, "IBANs": "[redacted]", "homePhone": "[redacted]", "userId": "[redacted]"}


def test_without_names_every_value_is_stored(
    with_names: Callable[..., Client], admin: Headers, connection: Connection
) -> None:
    assert with_names().post(STORE, content=one(EVENT), headers=admin).status_code == 201

    assert stored(connection) == [(EVENT["action"], DETAILS)]


def test_a_search_finds_an_event_by_what_is_left_and_not_by_its_secret(
    client: Client, admin: Headers
) -> None:
    client.post(STORE, json=EVENT, headers=admin)

    def found(term: str) -> int:
        answer = client.get("/api/admin/audit-logs", params={"q": term, "eventType": "login"}, headers=admin)
        return len(answer.json()["data"])

    assert (found("user.Password:[redacted]"), found("user.name:ada"), found(f"user.Password:{SECRET}")) == (
        1,
        1,
        0,
    )

"""Nothing a client does loses or duplicates an event, and an invalid event affects no other."""

import gzip
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from litestar.testing import TestClient
from litestar.types import ASGIApp
from prometheus_client.parser import text_string_to_metric_families as read_text

from api.app import create_app, observed
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.settings import Settings
from tests.eventually import eventually

Client = TestClient[ASGIApp]
Headers = dict[str, str]
STORE = "/api/audit-logs"
COUNT = "SELECT count(*) FROM audit_logs"
KEY = "Idempotency-Key"
NDJSON = {"Content-Type": "application/x-ndjson"}
A, B = {"eventType": "a"}, {"eventType": "b"}


def lines(*events: dict[str, Any]) -> bytes:
    return b"\n".join(json.dumps(event).encode() for event in events)


def types(connection: Connection) -> list[str]:
    return [name for (name,) in connection.execute("SELECT event_type FROM audit_logs ORDER BY 1")]


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (json.dumps([A, B]).encode(), {}),
        (lines(A, B), NDJSON),
        (lines(A, B) + b"\r\n\n", {"Content-Type": "application/x-ndjson; charset=utf-8"}),
        (lines(A, B), {}),
        (lines(A, B), {"Content-Type": "application/json"}),
        (gzip.compress(json.dumps([A, B]).encode(), mtime=0), {"Content-Encoding": "gzip"}),
        (
            gzip.compress(lines(A) + b"\n", mtime=0) + gzip.compress(lines(B), mtime=0),
            {"Content-Encoding": "gzip", **NDJSON},
        ),
    ],
)
def test_a_batch_is_accepted_in_every_form(
    client: Client, admin: Headers, connection: Connection, body: bytes, headers: Headers
) -> None:
    answer = client.post(STORE, content=body, headers={**admin, **headers})

    assert answer.status_code == 201, answer.text
    assert answer.json()["success"] is True
    assert [sorted(result) for result in answer.json()["results"]] == [["id", "index"]] * 2
    assert types(connection) == ["a", "b"]


def test_one_event_may_take_several_lines(client: Client, admin: Headers, connection: Connection) -> None:
    body = json.dumps({**A, "details": {"x": {"y": [1]}}}, indent=2)

    assert "id" in client.post(STORE, content=body, headers=admin).json()
    assert "id" in client.post(STORE, content=gzip.compress(body.encode(), mtime=0),
                               headers={**admin, "Content-Encoding": "gzip"}).json()  # fmt: skip
    assert types(connection) == ["a", "a"]


@pytest.mark.parametrize(
    ("body", "encoding", "status"),
    [
        (gzip.compress(b" " * (16 * 1024 * 1024 + 1), mtime=0), "gzip", 413),
        (gzip.compress(lines(A), mtime=0)[:-9], "gzip", 400),
        (gzip.compress(b"", mtime=0) * 800_000, "gzip", 400),
        (b"no gzip", "gzip", 400),
        (lines(A), "br", 415),
        (b"[" + b"1," * 200_000 + b"1]", "identity", 413),
        (lines(A) + b"\n" * 200_000 + lines(A), "identity", 413),
    ],
)
def test_a_body_that_cannot_be_parsed_is_refused(
    client: Client, admin: Headers, body: bytes, encoding: str, status: int
) -> None:
    answer = client.post(STORE, content=body, headers={**admin, "Content-Encoding": encoding})

    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("application/problem+json")


def deep(levels: int) -> bytes:
    return b'{"eventType": "a", "details": {"a": ' + b"[" * levels + b"]" * levels + b"}}"


@pytest.mark.parametrize(
    ("event", "field", "advice"),
    [
        (b'{"eventType": "a", "details": {"a": "\\u0000"}}', "details", "NUL"),
        (b'{"eventType": "a", "details": {"\\u0000": 1}}', "details", "NUL"),
        (b'{"eventType": "a\\u0000"}', "eventType", "NUL"),
        (b'{"eventType": "a", "action": "\\ud800"}', "action", "surrogate"),
        (b'{"eventType": "a", "details": {"a": ["\\udfff"]}}', "details", "surrogate"),
        (b'{"eventType": "a", "details": {"a": 1e400}}', "details", "out of range"),
        (b'{"eventType": "a", "details": {"a": -1e400}}', "details", "out of range"),
        (b'{"eventType": "a", "details": {"a": 1e-20000}}', "details", "PostgreSQL"),
        (b'{"eventType": "a", "details": {"a": ' + b"9" * 20000 + b"}}", "details", "out of range"),
        (b'{"eventType": "a", "createdAt": "2026-03-01T00:00:00+23:00"}', "createdAt", "PostgreSQL"),
        (b'{"eventType": "a", "durationMs": 2147483648}', "durationMs", "2147483647"),
        (b'{"eventType": "a", "durationMs": 1e400}', "durationMs", "out of range"),
        (b'{"eventType": "a", "createdAt": "1969-12-31T23:59:59Z"}', "createdAt", "1970"),
        (b'{"eventType": "a", "createdAt": "2200-01-01T00:00:00Z"}', "createdAt", "2200"),
        (b'{"eventType": "a", "createdAt": "99999-01-01T00:00:00Z"}', "createdAt", "RFC3339"),
        (b'{"eventType": "a", "createdAt": "2026-02-30T00:00:00Z"}', "createdAt", "RFC3339"),
        (deep(100), "details", "100 levels"),
        (deep(5_000), "details", "100 levels"),
        (b'{"eventType": "a", "details": {"a": "' + b"x" * 65536 + b'"}}', "details", "65545 bytes"),
        (b'{"eventType": "a", "ipAddress": "1.2.3.4.5"}', "ipAddress", "192.0.2.7"),
    ],
    ids=range(20),
)
def test_an_event_that_cannot_be_stored_is_refused_by_field_and_affects_no_other(
    client: Client, admin: Headers, connection: Connection, event: bytes, field: str, advice: str
) -> None:
    alone = client.post(STORE, content=event, headers=admin)
    batch = client.post(
        STORE, content=b'[{"eventType": "b"},' + event + b',{"eventType": "b"}]', headers=admin
    )

    assert alone.status_code == 400, alone.text
    (error,) = alone.json()["errors"]
    assert error["field"] == field
    assert advice in error["reason"]
    assert batch.status_code == 201, batch.text
    assert batch.json()["success"] is False
    assert [sorted(each) for each in batch.json()["results"]] == [
        ["id", "index"], ["error", "index"], ["id", "index"],
    ]  # fmt: skip
    assert batch.json()["results"][1]["error"]["field"] == field
    assert types(connection) == ["b", "b"]


def test_an_unterminated_array_is_refused_at_once(client: Client, admin: Headers) -> None:
    for body in (b'["' + b'\\"' * 4_000_000, b"[" * 8_000_000, b"[1],[\\ud800]", b"[{]}]"):
        answer = client.post(STORE, content=body, headers=admin)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "body")


def test_an_event_just_within_the_limits_is_stored(
    client: Client, admin: Headers, connection: Connection
) -> None:
    details = b'{"a": "' + b"x" * (65536 - 9) + b'"}'
    events = [
        deep(99),
        b'{"eventType": "a", "details": ' + details + b"}",
        b'{"eventType": "a", "details": {"a": 1e308, "b": ' + b"9" * 300 + b"}}",
        b'{"eventType": "a", "createdAt": "1970-01-01T00:00:00Z"}',
        b'{"eventType": "a", "createdAt": "2199-12-31T23:59:59.999999Z", "durationMs": 2147483647}',
        b'{"eventType": "a", "details": null, "id": null, "createdAt": null}',
    ]

    answer = client.post(STORE, content=b"[" + b",".join(events) + b"]", headers=admin)

    assert answer.json()["success"] is True, answer.text
    assert scalar(connection, COUNT) == len(events)


def test_the_limit_of_details_is_a_setting(url: str, admin: Headers) -> None:
    app = create_app(Settings(database_url=url, audit_details_max_bytes=11))
    with TestClient(observed(app)) as client:
        kept = client.post(STORE, json={**A, "details": {"a": 1234}}, headers=admin)
        refused = client.post(STORE, json={**A, "details": {"a": 12345}}, headers=admin)

    assert (kept.status_code, refused.status_code) == (201, 400)
    assert refused.json()["errors"] == [
        {"field": "details", "reason": "has 12 bytes; at most 11 are allowed"}
    ]


def test_an_event_id_alone_makes_a_retry_safe(client: Client, admin: Headers, connection: Connection) -> None:
    event = {**A, "id": str(uuid4())}

    answers = [client.post(STORE, json=event, headers=admin).json() for _ in range(2)]
    client.post(STORE, json=[event, B, event], headers=admin)

    assert answers == [{"success": True, "id": event["id"]}] * 2
    assert types(connection) == ["a", "b"]


def test_retries_at_the_same_time_are_one_event(
    client: Client, admin: Headers, connection: Connection
) -> None:
    events = [{**A, "id": str(uuid4())} for _ in range(40)]
    dated = [{**event, "id": str(uuid4()), "createdAt": "2026-03-01T00:00:00Z"} for event in events]
    both = events + dated

    def post(number: int) -> int:
        # Each in another order, so that transactions meet each other's rows from both sides.
        batch = both[::-1] if number % 2 else both
        return client.post(STORE, json=batch, headers=admin).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(post, range(24))) == {201}
    assert scalar(connection, COUNT) == len(both)


def test_an_idempotency_key_makes_a_request_safe_to_retry(
    client: Client, admin: Headers, connection: Connection
) -> None:
    headers = {**admin, "Idempotency-Key": "order 7"}
    batch = [A, {"eventType": ""}, {**B, "createdAt": "2026-03-01T00:00:00Z"}, {**B, "id": str(uuid4())}]

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: client.post(STORE, json=batch, headers=headers), range(12)))

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    assert types(connection) == ["a", "b", "b"]
    single = [client.post(STORE, json=A, headers={**admin, "Idempotency-Key": "1"}).json() for _ in range(2)]
    assert single[0] == single[1]
    assert scalar(connection, COUNT) == 4


def test_receipts_are_deleted_after_seven_days(
    client: Client, admin: Headers, connection: Connection
) -> None:
    connection.execute(
        "INSERT INTO ops.audit_receipts (id, created_at, received_at)"
        " SELECT gen_random_uuid(), now(), now() - make_interval(days => day)"
        " FROM generate_series(0, 9) AS day"
    )
    client.post(STORE, json=A, headers=admin)

    eventually(lambda: scalar(connection, "SELECT count(*) FROM ops.audit_receipts") == 7)


def test_an_idempotency_key_belongs_to_its_caller_and_its_body(
    client: Client, key: Callable[..., Headers], connection: Connection
) -> None:
    mine, theirs = ({**key("audit:write"), "Idempotency-Key": "k"} for _ in range(2))

    assert client.post(STORE, json=A, headers=mine).status_code == 201
    assert client.post(STORE, json=B, headers=theirs).status_code == 201
    other = client.post(STORE, json=B, headers=mine)

    assert (other.status_code, other.json()["type"]) == (422, "/problems/idempotency-mismatch")
    assert other.json()["errors"][0]["field"] == "Idempotency-Key"
    assert types(connection) == ["a", "b"]


@pytest.mark.parametrize("sent", ["", "x" * 256, "a\tb", "ä"])
def test_an_invalid_idempotency_key_is_refused(client: Client, admin: Headers, sent: str) -> None:
    headers = {name.encode(): text.encode("latin-1") for name, text in (*admin.items(), (KEY, sent))}

    answer = client.post(STORE, json=A, headers=headers)

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "Idempotency-Key"


def test_a_refused_request_does_not_use_up_its_idempotency_key(client: Client, admin: Headers) -> None:
    headers = {**admin, "Idempotency-Key": "k"}

    assert client.post(STORE, json={"eventType": ""}, headers=headers).status_code == 400
    assert client.post(STORE, json=A, headers=headers).status_code == 201


def test_an_llm_request_is_observed_once(client: Client, admin: Headers) -> None:
    event = {"eventType": "llm_request", "durationMs": 5, "details": {"model": "m"}, "id": str(uuid4())}
    for body in (event, event, [event, event, A], [{**event, "id": str(uuid4())}] * 3):
        assert client.post(STORE, json=body, headers=admin).status_code == 201

    text = client.get("/metrics").text
    counts = [
        s.value for f in read_text(text) for s in f.samples if s.name == "llm_request_duration_ms_count"
    ]
    assert counts == [2]


def test_a_users_table_created_later_is_noticed(
    client: Client, admin: Headers, connection: Connection
) -> None:
    assert client.post(STORE, json=A, headers=admin).status_code == 201
    connection.execute("CREATE TABLE users (id uuid PRIMARY KEY)")
    connection.execute("ALTER TABLE audit_logs ADD FOREIGN KEY (user_id) REFERENCES users ON DELETE SET NULL")
    stranger = str(uuid4())

    answer = client.post(STORE, json=[{**B, "userId": stranger}], headers=admin)

    assert answer.status_code == 201, answer.text
    assert connection.execute(
        "SELECT user_id, details->>'unresolved_user_id' FROM audit_logs WHERE event_type = 'b'"
    ).fetchall() == [(None, stranger)]
    assert isinstance(UUID(answer.json()["results"][0]["id"]), UUID)


def test_a_locked_table_is_reported_in_time_and_nothing_is_stored_later(
    client: Client, admin: Headers, connection: Connection
) -> None:
    with connection.transaction():
        connection.execute("LOCK TABLE audit_logs")
        answer: httpx.Response = client.post(STORE, json=A, headers=admin)

    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/unavailable")
    assert int(answer.headers["retry-after"]) > 0
    assert "Nothing was stored" in answer.json()["detail"]
    assert client.post(STORE, json=B, headers=admin).status_code == 201
    assert types(connection) == ["b"]

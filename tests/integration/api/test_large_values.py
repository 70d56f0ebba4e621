"""No event comes back larger than it may be when it is sent, and one that is too large hides no other."""

import asyncio
import json
import time
from collections.abc import Callable
from uuid import uuid4

import pytest
from litestar.testing import TestClient
from litestar.types import ASGIApp

from api.audit.queue import AuditQueue
from api.audit.store import MOST_REFUSED, Refusal, ValidatedEvent, sender
from api.db.pool import Pool
from ops_pipeline.audit.filters import Filters
from ops_pipeline.audit.store import AuditStore
from ops_pipeline.postgres.connection import Connection, scalar

Client = TestClient[ASGIApp]
Headers = dict[str, str]
STORE, FIND = "/api/audit-logs", "/api/admin/audit-logs"
COUNT = "SELECT count(*) FROM audit_logs WHERE event_type <> 'audit_access'"
TINY = ["1e-16383", "1e-401", "-1e-20000", "1E-16000", "0." + "0" * 400 + "1", "1e-99999999999999999999"]


@pytest.mark.parametrize("number", TINY)
def test_a_number_with_a_long_text_is_refused(
    client: Client, admin: Headers, connection: Connection, number: str
) -> None:
    for details in (f'{{"n": {number}}}', f'{{"n": [1,{number}]}}', f'{{"n":[{number}]}}'):
        for _ in range(2):  # through the framework, and without it
            answer = client.post(STORE, content=f'{{"eventType": "a", "details": {details}}}', headers=admin)
            assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "details")
            assert "send it as a string" in answer.json()["errors"][0]["reason"]

    assert scalar(connection, COUNT) == 0


def test_every_double_and_every_string_is_accepted(client: Client, admin: Headers) -> None:
    numbers = "[1.7976931348623157e308, -2.2250738585072014e-308, 4.9406564584124654e-324, 0e0, 1.50E+2, -0]"
    body = f'{{"eventType": "a", "details": {{"n": {numbers}, "t": " 1e-16383 ,1e-20000", "u": ":4e-9999"}}}}'

    answer = client.post(STORE, content=body, headers=admin)

    assert answer.status_code == 201, answer.text


@pytest.mark.parametrize(
    "details",
    [
        '{"n":[' + ",".join(["1e308"] * 250) + "]}",
        '{"n":[' + ",".join(["1e-300"] * 250) + "]}",
        '{"n":[' + ",".join(["0"] * 25_000) + "]}",
        '{"n":"' + "é" * 32_765 + '"}',
    ],
    ids=["large numbers", "small numbers", "spaces", "text"],
)
def test_the_size_that_counts_is_the_one_that_comes_back(
    client: Client, admin: Headers, connection: Connection, details: str
) -> None:
    written = scalar(connection, "SELECT octet_length(%s::jsonb::text)", [details])

    refused = client.post(STORE, content=f'{{"eventType":"a","details":{details}}}', headers=admin)

    assert written > 65_536
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["reason"] == f"has {written} bytes; at most 65536 are allowed"


def test_numbers_that_postgresql_would_refuse_cost_nobody_else_anything(
    client: Client, admin: Headers, connection: Connection
) -> None:
    poison = b'{"eventType":"a","details":{"n":1e-20000}}'
    began = time.monotonic()

    answer = client.post(STORE, content=b"[" + b",".join([poison] * 5_000) + b"]", headers=admin)

    assert answer.status_code == 400
    assert len(answer.json()["errors"]) == 100
    assert time.monotonic() - began < 5
    # Nothing of it has reached PostgreSQL, where finding the bad ones takes seconds.
    inserts = 'database_query_duration_ms_count{query_type="insert"}'
    assert inserts not in client.get("/metrics").text
    client.post(STORE, json={"eventType": "a"}, headers=admin)
    assert f"{inserts} 1.0" in client.get("/metrics").text
    assert scalar(connection, COUNT) == 1


@pytest.mark.parametrize(
    "details",
    [
        '"details":{"n":1e-20000},"details":{}',
        '"details":{"n":1e-20000,"n":1}',
        '"details":{"n":"\\u0000"},"details":{}',
        '"details":{"n":{"n":"\\u0000","n":1}}',
        '"details":{"n":[{"\\u0000":1,"n":1}]}',
    ],
)
def test_a_repeated_name_hides_no_value_from_the_checks(
    client: Client, admin: Headers, connection: Connection, details: str
) -> None:
    for body in (f'{{"eventType":"a",{details}}}', f'[{{"eventType":"a",{details}}}]'):
        answer = client.post(STORE, content=body, headers=admin)
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["field"].endswith("details")

    assert 'query_type="insert"' not in client.get("/metrics").text, "PostgreSQL was not asked"


def test_a_backslash_before_u0000_is_no_nul(client: Client, admin: Headers) -> None:
    answer = client.post(STORE, content=r'{"eventType":"a","details":{"t":"\\u0000"}}', headers=admin)

    assert answer.status_code == 201, answer.text


def test_the_search_for_refused_events_has_an_end(url: str, connection: Connection) -> None:
    bad = ValidatedEvent(b'{"eventType": "a", "details": {"a": 1e-20000}}')
    good = ValidatedEvent(b'{"eventType": "good"}')
    statements: list[str] = []

    async def post() -> tuple[list[object], list[object]]:
        def observe(kind: str, _: float) -> None:
            statements.append(kind)

        async with Pool(url, lambda *_: None) as pool, AuditQueue(pool, observe, lambda _: None) as queue:
            mine, others = sender(uuid4(), None), sender(uuid4(), None)
            hostile = queue.store(mine, [bad] * 800)
            neighbors = [queue.store(others, [good]) for _ in range(20)]
            first, *rest = await asyncio.gather(hostile, *neighbors)
            return list(first), [outcome for answer in rest for outcome in answer]

    refused, stored = asyncio.run(post())

    assert all(isinstance(outcome, Refusal) for outcome in refused)
    assert sum("not tried" in outcome.reason for outcome in refused if isinstance(outcome, Refusal)) == (
        800 - MOST_REFUSED
    )
    assert not [outcome for outcome in stored if isinstance(outcome, Refusal)]
    assert scalar(connection, COUNT) == 20
    assert len(statements) < 3 * MOST_REFUSED


HUGE = """
INSERT INTO audit_logs (event_type, created_at, details)
SELECT 'huge', now() - interval '2 seconds',
       jsonb_build_object('n', (SELECT jsonb_agg(1e-16383::numeric) FROM generate_series(1, 600)))
"""


@pytest.fixture
def huge(connection: Connection) -> Connection:
    """An event of some KiB whose details have 9.8 MB as text, between two others."""
    connection.execute(HUGE)
    for event_type, seconds in (("before", 3), ("after", 1)):
        connection.execute(
            "INSERT INTO audit_logs (event_type, created_at) VALUES (%s, now() - make_interval(secs => %s))",
            [event_type, seconds],
        )
    return connection


def test_an_event_too_large_to_show_is_named_and_its_neighbors_are_shown(
    client: Client, admin: Headers, huge: Connection
) -> None:
    page = client.get(FIND, headers=admin)
    assert len(page.content) < 10_000
    events = page.json()["data"]
    assert [event["event_type"] for event in events] == ["after", "huge", "before"]
    assert events[1]["details"] == {"_omitted_bytes": len('{"n": []}') + 600 * 16_387 - 2}

    (alone,) = client.get(f"{FIND}/{events[1]['id']}", headers=admin).json()["data"]
    assert alone["details"] == events[1]["details"]
    found = AuditStore(huge).query_logs(Filters(event_type="huge"))
    assert [event.details for event in found] == [events[1]["details"]]


@pytest.mark.parametrize("form", ["ndjson", "csv"])
def test_an_export_names_it_too(client: Client, admin: Headers, huge: Connection, form: str) -> None:
    exported = client.get(f"{FIND}/export?format={form}&endDate=now", headers=admin).text

    assert len(exported) < 10_000
    assert exported.count("_omitted_bytes") == 1
    for event_type in ("before", "huge", "after"):
        assert event_type in exported


def test_a_page_ends_before_it_is_too_large_and_the_next_one_continues(
    client: Client, admin: Headers, connection: Connection
) -> None:
    connection.execute(
        "INSERT INTO audit_logs (event_type, created_at, details) "
        "SELECT n::text, now() - make_interval(secs => n), "
        "       jsonb_build_object('x', repeat('x', 3000000), 'n', n) FROM generate_series(1, 13) AS n"
    )

    seen: list[str] = []
    sizes: list[int] = []
    following: str | None = f"{FIND}?limit=12&endDate=now"
    while following is not None:
        answer = client.get(following, headers=admin)
        sizes.append(len(answer.content))
        seen += [event["event_type"] for event in answer.json()["data"]]
        following = answer.json()["next"]

    assert seen == [str(number) for number in range(1, 14)]
    assert max(sizes) < 24 * 2**20
    assert len(sizes) == 3


@pytest.mark.prove
def test_an_export_of_large_events_is_read_in_small_pieces(
    client: Client, admin: Headers, connection: Connection
) -> None:
    connection.execute(
        "INSERT INTO audit_logs (event_type, created_at, details) "
        "SELECT n::text, now() - make_interval(secs => n), "
        "       jsonb_build_object('x', repeat('x', 1000000)) FROM generate_series(1, 300) AS n"
    )

    with client.stream("GET", f"{FIND}/export?endDate=now", headers=admin) as answer:
        lines = sum(len(json.loads(line)) > 0 for line in answer.iter_lines())

    assert lines == 300


@pytest.mark.prove
def test_the_whole_attack_leaves_pages_and_posts_as_they_were(
    client: Client, key: Callable[..., Headers], admin: Headers, connection: Connection
) -> None:
    writer = key("audit:write")
    unreadable = b'{"eventType":"a","details":{"n":[' + b",".join([b"1e-16383"] * 7_279) + b"]}}"
    poison = b"[" + b",".join([b'{"eventType":"a","details":{"n":1e-20000}}'] * 20_000) + b"]"

    assert client.post(STORE, content=unreadable, headers=writer).status_code == 400
    for _ in range(4):
        began = time.monotonic()
        assert client.post(STORE, content=poison, headers=writer).status_code in {400, 413}
        assert time.monotonic() - began < 10
        assert client.post(STORE, json={"eventType": "b"}, headers=writer).status_code == 201
    assert client.get(FIND, headers=admin).json()["count"] == 4

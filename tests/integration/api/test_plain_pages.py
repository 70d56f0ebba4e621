"""Plain pages bypass the framework, are answered exactly as it would answer them, and recorded as ever."""

import inspect
from collections.abc import Callable
from typing import Annotated

import pytest
from litestar import Litestar
from litestar.params import QueryParameter

from api.app import create_app
from api.audit.queue import AuditQueue
from api.audit.store import UnavailableError
from api.parameters import Convertible
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.settings import Settings
from tests.integration.api.conftest import Client, Headers

FIND = "/api/admin/audit-logs"
NOT_PLAIN = {"Content-Type": "text/plain"}
"""With it the framework handles the request."""
UNSET = {"x-request-id"}
EVENTS = """
INSERT INTO audit_logs (id, event_type, action, status, user_id, ip_address, details, created_at)
SELECT md5(number::text)::uuid, 'made', 'a & b', 'success', md5('user')::uuid, '192.0.2.7',
       '{"a": "ü\U0001f600"}', '2026-03-01'::timestamptz + number * interval '1 hour'
FROM generate_series(1, 7) number
"""


QUERIES = [
    "", "?", "?eventType=made", "?eventType=made&status=success&limit=3", "?limit=3&offset=2",
    "?limit=5000", "?action=a+%26+b&limit=2", "?action=a%20%26%20b&limit=1", "?q=a:%C3%BC&limit=1",
    "?ip=192.0.2.0/24&limit=2", "?userId=EE11CBB1-9052-E40B-07AA-C0CA060C23EE&limit=1",
    "?startDate=2026-03-01&endDate=2026-03-01T03:00Z", "?eventType=null", "?eventType=",
    "?limit=2&count=exact&eventType=made", "?actor=%E4", "?limit=0", "?limit=-1", "?limit=x", "?limit=1.0",
    "?limit=1.5", "?limit=", "?limit=1_0", "?limit=%201", "?limit=1e2", "?limit=true", "?limit=null",
    "?limit=99999999999999999999", "?offset=-1", "?offset=10001", "?count=all", "?count=null", "?count=",
    "?cursor=x", "?cursor=", "?cursor=x&offset=1", "?eventType=%00", f"?eventType={'x' * 256}",
    "?status=odd", "?status=null", "?status=Success", "?userId=x", "?userId=", "?userId=null",
    "?resourceId=ee11cbb19052e40b07aac0ca060c23ee", "?ip=300.1.1.1", "?q=user", "?startDate=-7x",
    "?startDate=2026-13-01", "?endDate=", "?user=x", "?eventtype=made", "?event_type=made", "?request=x",
    "?services=x", "?audit_query=x", "?key=x", "?status=success&status=success", "?limit=1&limit=2",
    "?&&limit=1&", "?limit", "?%6Cimit=1", "?limit=1;a=2",
]  # fmt: skip
"""Valid and invalid ones, in every spelling."""


async def unreachable(*_: object) -> None:
    raise AssertionError


def test_a_plain_page_is_read_without_the_framework_and_recorded(
    client: Client, admin: Headers, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection.execute(EVENTS)
    client.get(f"{FIND}/summary", headers=admin)  # from now on the key is known
    before = scalar(connection, "SELECT count(*) FROM audit_logs WHERE action = 'audit.read'")
    monkeypatch.setattr(Litestar, "__call__", unreachable)

    answer = client.get(f"{FIND}?eventType=made&limit=5", headers={**admin, "X-Forwarded-For": "203.0.113.9"})

    assert (answer.status_code, answer.json()["count"]) == (200, 5)
    recorded = (
        "SELECT details->'filters', details->'rows', origin FROM audit_logs WHERE action = 'audit.read'"
    )
    assert connection.execute(recorded).fetchall()[before:] == [({"eventType": "made"}, 5, "api")]


@pytest.mark.parametrize("query", QUERIES)
def test_the_answer_is_the_frameworks(
    client: Client, admin: Headers, connection: Connection, query: str
) -> None:
    connection.execute(EVENTS)
    answers = []
    for headers in (NOT_PLAIN, {}, {}):
        connection.execute("DELETE FROM audit_logs WHERE event_type = 'audit_access'")
        answer = client.get(f"{FIND}{query}", headers={**admin, **headers})
        sent = [(name, value) for name, value in answer.headers.raw if name.decode() not in UNSET]
        answers.append((answer.status_code, sent, answer.content))

    assert answers[0] == answers[1] == answers[2]


def test_following_plain_pages_meets_each_event_once(
    client: Client, admin: Headers, connection: Connection
) -> None:
    connection.execute(EVENTS)
    for headers in ({}, NOT_PLAIN):
        found, following = [], f"{FIND}?action=a+%26+b&limit=3"
        while following is not None:
            answer = client.get(following, headers={**admin, **headers}).json()
            found.append([event["created_at"][11:13] for event in answer["data"]])
            following = answer["next"]
        assert found == [["07", "06", "05"], ["04", "03", "02"], ["01"]]


def test_a_key_without_the_scope_and_other_methods_get_no_page(
    client: Client, key: Callable[..., Headers]
) -> None:
    writer, reader = key("audit:write"), key("audit:read")
    client.post("/api/audit-logs", json={"eventType": "a"}, headers=writer)
    client.get(FIND, headers=reader)

    assert client.get(FIND, headers=writer).status_code == 403
    assert client.get(FIND).status_code == 401
    head = client.head(FIND, headers=reader)
    assert (head.status_code, head.content) == (200, b"")
    assert client.delete(FIND, headers=reader).status_code == 405


def test_a_page_that_cannot_be_recorded_is_refused_as_the_framework_refuses_it(
    client: Client, admin: Headers, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.get(FIND, headers=admin)

    async def away(*_: object) -> None:
        raise UnavailableError("nothing was stored")

    monkeypatch.setattr(AuditQueue, "store", away)
    told = [client.get(FIND, headers={**admin, **each}) for each in (NOT_PLAIN, {})]

    assert [each.status_code for each in told] == [503, 503]
    assert told[0].content == told[1].content
    assert [each.headers["retry-after"] for each in told] == ["5", "5"]


def test_the_metrics_name_the_route(client: Client, admin: Headers) -> None:
    for headers in (NOT_PLAIN, {}):
        client.get(FIND, headers={**admin, **headers})

    metrics = client.get("/metrics").text.splitlines()
    for unit in ("seconds", "ms"):
        labels = f'{{method="GET",route="{FIND}",status_code="200"}}'
        assert f"http_request_duration_{unit}_count{labels} 2.0" in metrics


def test_no_guard_runs_in_a_thread(url: str) -> None:
    assert all(map(inspect.iscoroutinefunction, create_app(Settings(database_url=url)).guards))


def test_every_constraint_of_a_parameter_is_kept() -> None:
    def function(
        number: Annotated[int, QueryParameter(name="theNumber", gt=0, le=10, multiple_of=5)] = 5,
        text: Annotated[str | None, QueryParameter(min_length=2)] = None,
        other: int = 0,
    ) -> None: ...

    taken = Convertible(function)

    assert taken.names == {"theNumber", "text"}
    assert taken.converted({"theNumber": "10", "x": "y"}) == {"number": 10, "text": None}
    for wrong in ({"theNumber": "0"}, {"theNumber": "11"}, {"theNumber": "6"}, {"text": "a"}):
        assert taken.converted(wrong) is None

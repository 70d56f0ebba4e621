"""One key's slow questions, unread exports or tails never take another's."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from ops_pipeline.access import keys
from ops_pipeline.postgres.connection import Connection, scalar
from tests.eventually import eventually
from tests.integration.api.conftest import Headers
from tests.integration.api.process import Api

FIND = "/api/admin/audit-logs"
SLOW = """
INSERT INTO audit_logs (event_type, created_at)
SELECT 'old', now() - interval '20 days' FROM generate_series(1, 10);
ALTER TABLE audit_logs ENABLE ROW LEVEL SECURITY;
CREATE POLICY slowly ON audit_logs FOR SELECT TO ops_reader
  USING (event_type <> 'old' OR pg_sleep(0.5) IS NOT NULL);
CREATE POLICY at_once ON audit_logs TO ops_writer USING (true) WITH CHECK (true);
"""
RUNNING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND state = 'active' AND query ~ 'date_bin' AND pid <> pg_backend_pid()
"""
Start = Callable[..., Api]


@pytest.fixture
def start(tmp_path: Path, url: str) -> Iterator[Start]:
    with ExitStack() as stack:

        def begin(**environment: Any) -> Api:
            api = Api.start(tmp_path, url, **environment)
            stack.callback(api.popen.wait)
            stack.callback(api.popen.kill)
            return api

        yield begin


@pytest.mark.parametrize(("clients", "posts"), [(15, 6), pytest.param(60, 21, marks=pytest.mark.prove)])
def test_slow_questions_of_one_key_cost_no_other_key_an_answer(
    start: Start, key: Callable[..., Headers], connection: Connection, clients: int, posts: int
) -> None:
    connection.execute(SLOW)  # each summary takes five seconds
    greedy, modest = key("audit:read"), key("audit:read", "audit:write")
    api = start()
    most = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            most.append(scalar(connection, RUNNING))

    def ask(_: int) -> int:
        address = f"{FIND}/summary?startDate=-25d&endDate=-15d&bucket=1d"
        return api.get(address, headers=greedy).status_code

    watching = threading.Thread(target=watch)
    with ThreadPoolExecutor(clients) as pool:
        asked = [pool.submit(ask, number) for number in range(clients)]
        eventually(lambda: scalar(connection, RUNNING) == 5)
        watching.start()
        stored = [
            httpx.post(f"{api.address}/api/audit-logs", json={"eventType": "new"}, headers=modest, timeout=30)
            for _ in range(posts)
        ]
        read = api.get(f"{FIND}?eventType=new&startDate=-1d", headers=modest)
        busy = scalar(connection, RUNNING)
        statuses = [each.result() for each in asked]
    done.set()
    watching.join()

    assert {each.status_code for each in stored} == {201}
    assert (read.status_code, read.json()["count"]) == (200, posts)
    assert busy == 5, "the questions were still running"
    assert max(most) == 5
    assert set(statuses) <= {200, 429, 503}
    assert statuses.count(200) >= 5


def test_the_tails_of_one_key_leave_others_to_other_keys(start: Start, key: Callable[..., Headers]) -> None:
    greedy, modest = key("audit:read"), key("audit:read")
    api = start(OPS_API_TAILS_PER_KEY="2")
    with ExitStack() as stack:
        client = stack.enter_context(httpx.Client(timeout=30))

        def open_tail(headers: Headers) -> httpx.Response:
            return stack.enter_context(client.stream("GET", f"{api.address}{FIND}/stream", headers=headers))

        opened = [open_tail(greedy) for _ in range(3)]
        assert [each.status_code for each in opened] == [200, 200, 429]
        assert int(opened[-1].headers["retry-after"]) > 0
        assert open_tail(modest).status_code == 200
        opened[0].close()
        api.until(lambda: open_tail(greedy).status_code == 200)


@pytest.mark.parametrize("busy", [False, True])
def test_a_tail_ends_when_its_key_is_revoked_or_expires(
    tmp_path: Path, url: str, connection: Connection, busy: bool
) -> None:
    created = keys.create(connection, "reader", ["audit:read"])
    api = Api.start(tmp_path, url, faults=True, FAULT_HEARTBEAT="0.5")
    try:
        headers = {"Authorization": f"Bearer {created.key}"}
        with httpx.stream("GET", f"{api.address}{FIND}/stream", headers=headers, timeout=30) as stream:
            lines = stream.iter_lines()
            assert next(line for line in lines if line == ": alive"), "a valid key goes on reading"
            if busy:
                connection.execute("UPDATE ops.api_keys SET expires_at = now() WHERE id = %s", [created.id])
                connection.execute(
                    "INSERT INTO audit_logs (event_type) SELECT 'a' FROM generate_series(1, 3000)"
                )
            else:
                keys.revoke(connection, "reader")
            rest = list(lines)
        assert rest[-3] == "event: end"
        assert "revoked" in rest[-2]
        ended = "SELECT count(*) FROM audit_logs WHERE action = 'audit.tail' AND key_id = %s"
        api.until(lambda: scalar(connection, ended, [created.id]) == 1)
    finally:
        api.popen.kill()
        api.popen.wait()


def test_events_a_minute_are_limited_where_that_is_configured(
    start: Start, key: Callable[..., Headers], connection: Connection
) -> None:
    one, other = key("audit:write"), key("audit:write")
    api = start(OPS_API_EVENTS_PER_MINUTE="3")

    def post(headers: Headers, events: int) -> httpx.Response:
        body = [{"eventType": "a"}] * events if events > 1 else {"eventType": "a"}
        return httpx.post(f"{api.address}/api/audit-logs", json=body, headers=headers, timeout=30)

    answers = [post(one, events) for events in (1, 1, 2, 1, 1)]

    assert [each.status_code for each in answers] == [201, 201, 429, 201, 429]
    assert 0 < int(answers[-1].headers["retry-after"]) <= 60
    assert post(other, 1).status_code == 201
    assert scalar(connection, "SELECT count(*) FROM audit_logs WHERE event_type = 'a'") == 4

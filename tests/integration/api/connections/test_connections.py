"""Limits on connections of clients without a key, and that no other client notices."""

import re
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from api.audit.tail import MOST_STREAMS
from ops_pipeline.postgres.connection import Connection, scalar
from tests.integration.api.connections.clients import (
    LIVE,
    Start,
    alive,
    drip_until_answered,
    flood,
    in_flight,
    metric_total,
    open_client,
    post,
    read_answer,
    read_status,
)
from tests.integration.api.process import Api, limited


def test_half_sent_requests_beyond_ulimit_cost_no_other_client_an_answer(start: Start) -> None:
    api = start(open_files=1024, deadlines="60")

    with alive(api), ExitStack() as stack:
        clients = [stack.enter_context(open_client(api)) for _ in range(1_100)]
        for client in clients:
            try:
                client.sendall(LIVE)
            except OSError:
                continue  # it has already been closed to make room
        first = read_answer(clients[0])
        newest = clients[-1]
        newest.sendall(b"\r\n")
        assert read_status(newest) == 200

    assert not first or first.startswith(b"HTTP/1.1 503 ")


def test_idle_connections_are_closed_oldest_first_to_make_room(narrow: Api) -> None:

    with ExitStack() as stack:
        clients = [stack.enter_context(open_client(narrow)) for _ in range(64)]
        for client in clients:
            client.sendall(LIVE + b"\r\n")
            assert read_status(client) == 200
        clients[0].sendall(LIVE + b"\r\n")
        assert read_status(clients[0]) == 200
        assert narrow.status("/nothing") == 404

        assert clients[1].recv(1000) == b"", "it has been idle the longest"
        clients[0].sendall(LIVE + b"\r\n")
        assert read_status(clients[0]) == 200


def test_bodies_of_no_one_known_give_way_and_one_of_a_key_does_not(narrow: Api, authorization: bytes) -> None:
    with ExitStack() as stack:
        known = stack.enter_context(open_client(narrow))
        in_flight(known, authorization)
        unknown = [stack.enter_context(open_client(narrow)) for _ in range(200)]
        for client in unknown:
            client.sendall(post(b"", 100) + b"{")
        assert [narrow.status("/nothing") for _ in range(5)] == [404] * 5
        known.sendall(b"{" + b" " * 99_999)

        assert read_status(known) == 400, "it was still open"


def test_with_every_connection_busy_live_is_answered_and_other_requests_get_503(
    narrow: Api, authorization: bytes, other_authorization: bytes
) -> None:

    with ExitStack() as stack:
        for number in range(64):
            key = authorization if number % 2 else other_authorization
            in_flight(stack.enter_context(open_client(narrow)), key)
        answer = narrow.get("/nothing")
        lives = [narrow.status("/health/live") for _ in range(10)]

    assert answer.status_code == 503
    assert answer.json()["type"] == "/problems/unavailable"
    assert "64 connections" in answer.json()["detail"]
    assert int(answer.headers["retry-after"]) > 0
    assert answer.headers["connection"] == "close"
    assert lives == [200] * 10


def test_one_key_takes_half_of_the_connections_and_leaves_the_other_half(
    narrow: Api, authorization: bytes, other_authorization: bytes
) -> None:
    with ExitStack() as stack:
        for _ in range(32):
            in_flight(stack.enter_context(open_client(narrow)), authorization)
        answers = []
        for key in (authorization, other_authorization):
            client = stack.enter_context(open_client(narrow))
            client.sendall(
                b"GET /api/admin/audit-logs HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%b\r\n" % key
            )
            answers.append(read_answer(client))

    assert answers[0].startswith(b"HTTP/1.1 429 ")
    assert b"/problems/too-many-requests" in answers[0]
    assert re.search(rb"retry-after: [1-9]", answers[0])
    assert answers[1].startswith(b"HTTP/1.1 200 ")


def test_a_limit_on_open_files_that_is_too_low_is_reported_before_anything_starts(tmp_path: Path) -> None:
    done = subprocess.run(
        limited(100, [sys.executable, "-m", "api"]),
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 1
    assert "the limit on open files is 100" in done.stderr
    assert "ulimit -n" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("drip", [b"a", b"\r\n"])
def test_a_head_that_arrives_too_slowly_is_refused(hasty: Api, drip: bytes) -> None:
    counted = metric_total(hasty, "http_request_duration_ms_count", "unmatched", "408")
    client = open_client(hasty)
    client.sendall(LIVE if drip == b"a" else drip)

    with alive(hasty):
        answer = drip_until_answered(client, drip)

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"/problems/request-timeout" in answer
    assert b"connection: close" in answer
    assert metric_total(hasty, "http_request_duration_ms_count", "unmatched", "408") - counted == 1


def test_a_second_head_that_arrives_too_slowly_is_refused(hasty: Api) -> None:
    client = open_client(hasty)
    client.sendall(LIVE + b"\r\n" + LIVE)

    answer = drip_until_answered(client, b"a")

    assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [b"200", b"408"]


def test_a_silent_connection_is_closed_without_an_answer(hasty: Api) -> None:
    assert read_answer(open_client(hasty)) == b""


def test_a_body_that_arrives_too_slowly_is_refused_and_nothing_is_stored(
    hasty: Api, authorization: bytes, connection: Connection
) -> None:
    counted = metric_total(hasty, "errors_total", "request-timeout", "408")
    client = open_client(hasty)
    in_flight(client, authorization)
    client.sendall(b'{"eventType": "slow"}')

    with alive(hasty):
        answer = drip_until_answered(client, b" ")

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"/problems/request-timeout" in answer
    assert metric_total(hasty, "errors_total", "request-timeout", "408") - counted == 1
    assert scalar(connection, "SELECT count(*) FROM audit_logs WHERE event_type = 'slow'") == 0


def test_a_slow_but_steady_body_is_stored(hasty: Api, authorization: bytes, connection: Connection) -> None:
    client = open_client(hasty)
    body = b" " * 200_000 + b'{"eventType": "steady"}'
    client.sendall(post(authorization, len(body)))
    for at in range(0, len(body), 10_000):
        client.sendall(body[at : at + 10_000])
        time.sleep(0.15)  # 3 s in total

    assert read_status(client) == 201
    assert scalar(connection, "SELECT count(*) FROM audit_logs WHERE event_type = 'steady'") == 1


def test_a_body_that_continues_after_its_answer_is_cut_off(hasty: Api) -> None:
    client = open_client(hasty)
    client.sendall(post(b"", 1 << 30))

    assert read_status(client) == 401
    flood(client, b"", b"a" * 65536, most=256 << 20, pause=0.005)


def test_a_stalled_request_does_not_hold_up_the_drain(start: Start, authorization: bytes) -> None:
    api = start(deadlines="1")
    head, body = open_client(api), open_client(api)
    head.sendall(LIVE)
    in_flight(body, authorization)

    assert api.stop() == 0, api.log.read_text()
    assert read_answer(body).startswith(b"HTTP/1.1 408 ")


def test_exports_that_no_client_reads_leave_others_to_other_keys_and_release_their_connections(
    hasty: Api, authorization: bytes, other_authorization: bytes, connection: Connection
) -> None:
    connection.execute(
        "INSERT INTO audit_logs (event_type, details, created_at) "
        "SELECT 'big', jsonb_build_object('text', repeat('x', 1000)), now() FROM generate_series(1, 20000)"
    )
    export = b"GET /api/admin/audit-logs/export HTTP/1.1\r\nHost: x\r\n%b\r\n"
    with ExitStack() as stack:
        begun = []
        for key in [authorization] * 3 + [other_authorization] * 2:
            client = stack.enter_context(open_client(hasty, receive_buffer=4096))
            client.sendall(export % key)
            begun.append(client.recv(12))
        assert begun == [b"HTTP/1.1 %d" % status for status in (200, 200, 429, 200, 200)]
        header = authorization.decode().partition(": ")
        asked = {header[0]: header[2].strip()}
        hasty.until(
            lambda: hasty.get("/api/admin/audit-logs/export?eventType=none", headers=asked).status_code == 200
        )
    assert "answer_not_read" in hasty.log.read_text()


def test_a_tail_ends_with_its_client_even_when_a_request_waits_behind_it(
    api: Api, authorization: bytes
) -> None:
    request = b"GET /api/admin/audit-logs/stream HTTP/1.1\r\nHost: x\r\n%b\r\n" % authorization

    def follows() -> bool:
        with open_client(api) as client:
            client.sendall(request + LIVE + b"\r\n")
            return read_status(client) == 200

    for _ in range(MOST_STREAMS + 10):
        api.until(follows)

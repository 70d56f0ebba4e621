"""Requests that break HTTP's rules or the API's limits are refused, and no other client notices."""

import json
import re
import time
from contextlib import ExitStack
from typing import Any

import pytest

from ops_pipeline.postgres.connection import Connection, scalar
from tests.integration.api.connections.clients import (
    LIVE,
    alive,
    flood,
    memory_of,
    metric_total,
    open_client,
    read_answer,
    read_status,
)
from tests.integration.api.process import Api


def test_endless_heads_cost_no_other_client_an_answer(api: Api) -> None:
    memory, counted = memory_of(api), metric_total(api, "errors_total", "headers-too-large", "431")

    with alive(api):
        clients = [open_client(api) for _ in range(4)]
        for client in clients:
            flood(client, LIVE + b"X: ", b"a" * 65536)
        answers = [read_answer(client) for client in clients]

    for answer in answers:
        assert answer.startswith(b"HTTP/1.1 431 ")
        assert b"application/problem+json" in answer
        assert b"/problems/headers-too-large" in answer
        assert b"65536 bytes" in answer
    assert memory_of(api) - memory < 20_000, "KiB"
    assert metric_total(api, "errors_total", "headers-too-large", "431") - counted == 4
    assert api.log.read_text().count("clients cut off") <= 4


def test_endless_headers_cost_no_other_client_an_answer(api: Api) -> None:

    with alive(api):
        client = open_client(api)
        flood(client, LIVE, b"a:b\r\n" * 13_000)
        assert read_answer(client).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(("headers", "status"), [(255, 200), (256, 431)])
def test_there_may_be_256_headers(api: Api, headers: int, status: int) -> None:
    client = open_client(api)
    client.sendall(LIVE + b"a:b\r\n" * headers + b"\r\n")

    assert read_status(client) == status


def test_a_head_of_almost_64_kib_is_read_however_it_arrives(api: Api) -> None:
    client = open_client(api)
    for _ in range(3):
        head = LIVE + b"X: " + b"a" * 65_000 + b"\r\n\r\n"
        for at in range(0, len(head), 5_000):
            client.sendall(head[at : at + 5_000])
        assert read_status(client) == 200


def test_an_endless_head_behind_another_request_is_refused(api: Api) -> None:
    client = open_client(api)
    client.sendall(LIVE + b"\r\n" + LIVE + b"X: " + b"a" * 200_000)

    answer = read_answer(client)
    assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [b"200", b"431"]


def test_pipelined_requests_are_answered_in_order(api: Api) -> None:
    client = open_client(api)
    requests = b"".join(LIVE + b"X-Request-ID: n%d\r\n\r\n" % n for n in range(2_000))
    client.sendall(requests[:70_000])
    client.sendall(requests[70_000:] + LIVE + b"Connection: close\r\n\r\n")

    answers = read_answer(client)
    assert re.findall(rb"x-request-id: n(\d+)", answers) == [b"%d" % n for n in range(2_000)]
    assert answers.count(b"HTTP/1.1 200 ") == 2_001


def test_pipelined_requests_cost_no_other_client_an_answer(api: Api) -> None:
    with alive(api), ExitStack() as stack:
        for _ in range(50):
            client = stack.enter_context(open_client(api))
            client.sendall((LIVE + b"\r\n") * 2_000)


def test_a_client_that_disconnects_within_its_body_is_no_internal_error(
    api: Api, authorization: bytes
) -> None:
    before = metric_total(api, "errors_total", "client-closed-request", "499")
    ours = metric_total(api, "errors_total", "internal", "500")
    with open_client(api) as client:
        client.sendall(b"POST /api/audit-logs HTTP/1.1\r\nHost: x\r\nContent-Length: 999\r\n" + authorization)
        client.sendall(b"\r\n[")
        time.sleep(0.5)  # so that the body is being read

    while metric_total(api, "errors_total", "client-closed-request", "499") == before:
        time.sleep(0.1)
    assert metric_total(api, "errors_total", "internal", "500") == ours


@pytest.mark.parametrize("endless", [b"1;x=" + b"a" * 65536, b"1\r\nx\r\n0\r\nX: " + b"a" * 65536])
def test_endless_chunk_extensions_and_trailers_are_refused(
    api: Api, authorization: bytes, endless: bytes
) -> None:
    before = memory_of(api)
    client = open_client(api)
    head = b"POST /api/audit-logs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n" + authorization
    flood(client, head + b"\r\n" + endless, b"a" * 65536)

    assert b" 431 " in read_answer(client)
    assert memory_of(api) - before < 20_000, "KiB"


def test_an_upgrade_is_ignored_and_what_follows_is_answered(api: Api) -> None:
    client = open_client(api)
    client.sendall(
        LIVE + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n" + LIVE + b"Connection: close\r\n\r\n"
    )

    assert re.findall(rb"HTTP/1.1 (\d+)", read_answer(client)) == [b"200", b"200"]


def test_a_request_that_is_not_http_is_answered_with_a_problem(api: Api) -> None:
    client = open_client(api)
    client.sendall(b"\x16\x03\x01\x02\x00\x01\x00")

    answer = read_answer(client)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in answer


@pytest.mark.parametrize(
    "head",
    [b"FLY / HTTP/1.1\r\nHost: x\r\n\r\n", b"GET / HTTP/1.1\r\n: nameless\r\n\r\n", b"\x16\x03\x01\x02"],
)
def test_unknown_methods_and_broken_heads_are_counted_and_logged_with_the_peer(api: Api, head: bytes) -> None:
    counted = metric_total(api, "http_request_duration_ms_count", "other", "unmatched", "400")
    logged = len(lines(api, "clients cut off"))
    with open_client(api) as client:
        client.sendall(head)
        assert read_answer(client).startswith(b"HTTP/1.1 400 ")

    assert metric_total(api, "http_request_duration_ms_count", "other", "unmatched", "400") - counted == 1
    api.until(lambda: len(lines(api, "clients cut off")) > logged)
    line = lines(api, "clients cut off")[-1]
    assert line["not_http"] >= 1
    assert line["peers"].keys() == {"127.0.0.1"}


def test_a_method_that_no_route_has_is_counted_and_logged_with_the_peer(api: Api) -> None:
    counted = metric_total(api, "errors_total", "method-not-allowed", "405")
    with open_client(api) as client:
        client.sendall(b"PROPFIND /api/audit-logs HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert read_answer(client).startswith(b"HTTP/1.1 405 ")

    assert metric_total(api, "errors_total", "method-not-allowed", "405") - counted == 1
    (line,) = [line for line in lines(api, "request") if line["status"] == 405]
    assert (line["method"], line["peer"]) == ("other", "127.0.0.1")


def lines(api: Api, event: str) -> list[dict[str, Any]]:
    """The log's lines of that event."""
    logged = map(json.loads, api.log.read_text().splitlines())
    return [line for line in logged if line["event"] == event]


def test_no_header_changes_the_address_that_is_recorded(
    api: Api, authorization: bytes, connection: Connection
) -> None:
    client = open_client(api)
    client.sendall(
        b"GET /api/admin/audit-logs HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        b"X-Forwarded-For: 192.0.2.66\r\n%b\r\n" % authorization
    )
    assert read_answer(client).startswith(b"HTTP/1.1 200 ")

    recorded = "SELECT DISTINCT host(ip_address) FROM audit_logs WHERE action = 'audit.read'"
    assert scalar(connection, recorded) == "127.0.0.1"

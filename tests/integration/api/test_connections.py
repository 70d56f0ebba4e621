"""What clients without a key may do with their connections, and that nobody else notices."""

import re
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest

from ops_pipeline.access import keys
from ops_pipeline.postgres import embedded
from ops_pipeline.postgres.connection import Connection, connect, scalar
from tests.integration.api.process import Api, limited

LIVE = b"GET /health/live HTTP/1.1\r\nHost: x\r\n"
Start = Callable[..., Api]


@pytest.fixture(scope="module")
def url(server: embedded.Server, template: str) -> str:
    """One database for all of them, where starting a process takes longer than the test."""
    with connect(server.url("postgres"), "test") as session:
        session.execute(f"CREATE DATABASE connections TEMPLATE {template}")
    return server.url("connections")


@pytest.fixture(scope="module")
def start(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Starts an API; `deadlines` are those of clients in seconds."""
    with ExitStack() as stack:

        def begin(*, deadlines: str = "", open_files: int | None = None) -> Api:
            folder = tmp_path_factory.mktemp("api")
            running = Api.start(
                folder, url, faults=bool(deadlines), open_files=open_files, FAULT_DEADLINES=deadlines
            )
            stack.callback(running.popen.wait)
            stack.callback(running.popen.kill)
            return running

        yield begin


@pytest.fixture(scope="module")
def api(start: Start) -> Api:
    return start()


@pytest.fixture(scope="module")
def hasty(start: Start) -> Api:
    """An API whose clients have 1.5 seconds where they usually have 10 or 60."""
    return start(deadlines="1.5")


@pytest.fixture(scope="module")
def narrow(start: Start) -> Api:
    """An API with 64 connections."""
    return start(open_files=224, deadlines="60")


@pytest.fixture(scope="module")
def authorization(url: str) -> bytes:
    with connect(url, "test") as session:
        key = keys.create(session, "test", ["admin"]).key
    return f"Authorization: Bearer {key}\r\n".encode()


def test_heads_without_end_cost_nobody_else_an_answer(api: Api) -> None:
    memory, counted = _memory(api), _counted(api, "errors_total", "headers-too-large", "431")

    with _alive(api):
        clients = [_connect(api) for _ in range(4)]
        for client in clients:
            _flood(client, LIVE + b"X: ", b"a" * 65536)
        answers = [_read(client) for client in clients]

    for answer in answers:
        assert answer.startswith(b"HTTP/1.1 431 ")
        assert b"application/problem+json" in answer
        assert b"/problems/headers-too-large" in answer
        assert b"65536 bytes" in answer
    assert _memory(api) - memory < 20_000, "KiB"
    assert _counted(api, "errors_total", "headers-too-large", "431") - counted == 4
    assert api.log.read_text().count("clients cut off") <= 4


def test_headers_without_end_cost_nobody_else_an_answer(api: Api) -> None:

    with _alive(api):
        client = _connect(api)
        _flood(client, LIVE, b"a:b\r\n" * 13_000)
        assert _read(client).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(("headers", "status"), [(255, 200), (256, 431)])
def test_there_may_be_256_headers(api: Api, headers: int, status: int) -> None:
    client = _connect(api)
    client.sendall(LIVE + b"a:b\r\n" * headers + b"\r\n")

    assert _status(client) == status


def test_a_head_of_almost_64_kib_is_read_however_it_arrives(api: Api) -> None:
    client = _connect(api)
    for _ in range(3):
        head = LIVE + b"X: " + b"a" * 65_000 + b"\r\n\r\n"
        for at in range(0, len(head), 5_000):
            client.sendall(head[at : at + 5_000])
        assert _status(client) == 200


def test_a_head_without_end_is_refused_behind_another_request(api: Api) -> None:
    client = _connect(api)
    client.sendall(LIVE + b"\r\n" + LIVE + b"X: " + b"a" * 200_000)

    answer = _read(client)
    assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [b"200", b"431"]


def test_requests_in_one_go_are_answered_in_their_order(api: Api) -> None:
    client = _connect(api)
    requests = b"".join(LIVE + b"X-Request-ID: n%d\r\n\r\n" % n for n in range(2_000))
    client.sendall(requests[:70_000])
    client.sendall(requests[70_000:] + LIVE + b"Connection: close\r\n\r\n")

    answers = _read(client)
    assert re.findall(rb"x-request-id: n(\d+)", answers) == [b"%d" % n for n in range(2_000)]
    assert answers.count(b"HTTP/1.1 200 ") == 2_001


def test_requests_in_one_go_cost_nobody_else_an_answer(api: Api) -> None:
    with _alive(api), ExitStack() as stack:
        for _ in range(50):
            client = stack.enter_context(_connect(api))
            client.sendall((LIVE + b"\r\n") * 2_000)


def test_a_client_that_leaves_within_its_body_is_no_mistake_of_ours(api: Api, authorization: bytes) -> None:
    before = _counted(api, "errors_total", "client-closed-request", "499")
    ours = _counted(api, "errors_total", "internal", "500")
    with _connect(api) as client:
        client.sendall(b"POST /api/audit-logs HTTP/1.1\r\nHost: x\r\nContent-Length: 999\r\n" + authorization)
        client.sendall(b"\r\n[")
        time.sleep(0.5)  # so that the body is being read

    while _counted(api, "errors_total", "client-closed-request", "499") == before:
        time.sleep(0.1)
    assert _counted(api, "errors_total", "internal", "500") == ours


@pytest.mark.parametrize("endless", [b"1;x=" + b"a" * 65536, b"1\r\nx\r\n0\r\nX: " + b"a" * 65536])
def test_chunk_extensions_and_trailers_without_end_are_refused(
    api: Api, authorization: bytes, endless: bytes
) -> None:
    before = _memory(api)
    client = _connect(api)
    head = b"POST /api/audit-logs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n" + authorization
    _flood(client, head + b"\r\n" + endless, b"a" * 65536)

    assert b" 431 " in _read(client)
    assert _memory(api) - before < 20_000, "KiB"


def test_half_sent_requests_beyond_ulimit_cost_nobody_else_an_answer(start: Start) -> None:
    api = start(open_files=1024, deadlines="60")

    with _alive(api), ExitStack() as stack:
        clients = [stack.enter_context(_connect(api)) for _ in range(1_100)]
        for client in clients:
            try:
                client.sendall(LIVE)
            except OSError:
                continue  # it gave way already
        first = _read(clients[0])
        newest = clients[-1]
        newest.sendall(b"\r\n")
        assert _status(newest) == 200

    assert not first or first.startswith(b"HTTP/1.1 503 ")


def test_idle_connections_give_way_the_oldest_first(narrow: Api) -> None:

    with ExitStack() as stack:
        clients = [stack.enter_context(_connect(narrow)) for _ in range(64)]
        for client in clients:
            client.sendall(LIVE + b"\r\n")
            assert _status(client) == 200
        clients[0].sendall(LIVE + b"\r\n")
        assert _status(clients[0]) == 200
        assert narrow.status("/nothing") == 404

        assert clients[1].recv(1000) == b"", "it has been idle the longest"
        clients[0].sendall(LIVE + b"\r\n")
        assert _status(clients[0]) == 200


def test_with_every_connection_at_work_live_is_answered_and_others_are_told_to_return(
    narrow: Api, authorization: bytes
) -> None:

    with ExitStack() as stack:
        for _ in range(64):
            _in_flight(stack.enter_context(_connect(narrow)), authorization)
        answer = narrow.get("/nothing")
        lives = [narrow.status("/health/live") for _ in range(10)]

    assert answer.status_code == 503
    assert answer.json()["type"] == "/problems/unavailable"
    assert "64 connections" in answer.json()["detail"]
    assert int(answer.headers["retry-after"]) > 0
    assert answer.headers["connection"] == "close"
    assert lives == [200] * 10


def test_a_limit_on_open_files_that_is_too_low_is_told_before_anything_starts(tmp_path: Path) -> None:
    done = subprocess.run(
        limited(100, [sys.executable, "-m", "api"]),
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 1
    assert "it may open 100 files" in done.stderr
    assert "ulimit -n" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("drip", [b"a", b"\r\n"])
def test_a_dripping_head_is_refused(hasty: Api, drip: bytes) -> None:
    counted = _counted(hasty, "http_request_duration_ms_count", "unmatched", "408")
    client = _connect(hasty)
    client.sendall(LIVE if drip == b"a" else drip)

    with _alive(hasty):
        answer = _drip(client, drip)

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"/problems/request-timeout" in answer
    assert b"connection: close" in answer
    assert _counted(hasty, "http_request_duration_ms_count", "unmatched", "408") - counted == 1


def test_a_dripping_second_head_is_refused(hasty: Api) -> None:
    client = _connect(hasty)
    client.sendall(LIVE + b"\r\n" + LIVE)

    answer = _drip(client, b"a")

    assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [b"200", b"408"]


def test_a_silent_connection_is_closed_without_a_word(hasty: Api) -> None:
    assert _read(_connect(hasty)) == b""


def test_a_dripping_body_is_refused_and_nothing_is_stored(
    hasty: Api, authorization: bytes, connection: Connection
) -> None:
    counted = _counted(hasty, "errors_total", "request-timeout", "408")
    client = _connect(hasty)
    _in_flight(client, authorization)
    client.sendall(b'{"eventType": "slow"}')

    with _alive(hasty):
        answer = _drip(client, b" ")

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"/problems/request-timeout" in answer
    assert _counted(hasty, "errors_total", "request-timeout", "408") - counted == 1
    assert scalar(connection, "SELECT count(*) FROM audit_logs WHERE event_type = 'slow'") == 0


def test_a_slow_but_steady_body_is_stored(hasty: Api, authorization: bytes, connection: Connection) -> None:
    client = _connect(hasty)
    body = b" " * 200_000 + b'{"eventType": "steady"}'
    client.sendall(_post(authorization, len(body)))
    for at in range(0, len(body), 10_000):
        client.sendall(body[at : at + 10_000])
        time.sleep(0.15)  # 3 s in all

    assert _status(client) == 201
    assert scalar(connection, "SELECT count(*) FROM audit_logs WHERE event_type = 'steady'") == 1


def test_a_body_that_goes_on_after_its_answer_is_cut_off(hasty: Api) -> None:
    client = _connect(hasty)
    client.sendall(_post(b"", 1 << 30))

    assert _status(client) == 401
    _flood(client, b"", b"a" * 65536, most=256 << 20, pause=0.005)


def test_a_stalled_request_does_not_hold_up_the_drain(start: Start, authorization: bytes) -> None:
    api = start(deadlines="1")
    head, body = _connect(api), _connect(api)
    head.sendall(LIVE)
    _in_flight(body, authorization)

    assert api.stop() == 0, api.log.read_text()
    assert _read(body).startswith(b"HTTP/1.1 408 ")


def test_exports_nobody_reads_give_their_connections_back(
    hasty: Api, authorization: bytes, connection: Connection
) -> None:
    connection.execute(
        "INSERT INTO audit_logs (event_type, details, created_at) "
        "SELECT 'big', jsonb_build_object('text', repeat('x', 1000)), now() FROM generate_series(1, 20000)"
    )
    with ExitStack() as stack:
        for _ in range(4):
            client = stack.enter_context(_connect(hasty, receive_buffer=4096))
            client.sendall(b"GET /api/admin/audit-logs/export HTTP/1.1\r\nHost: x\r\n%b\r\n" % authorization)
            client.recv(100)
        header = authorization.decode().partition(": ")
        asked = {header[0]: header[2].strip()}
        hasty.until(
            lambda: hasty.get("/api/admin/audit-logs/export?eventType=none", headers=asked).status_code == 200
        )
    assert "answer_not_read" in hasty.log.read_text()


def test_a_tail_ends_with_its_client_even_when_a_request_waits_behind_it(
    api: Api, authorization: bytes
) -> None:
    tail = b"GET /api/admin/audit-logs/stream HTTP/1.1\r\nHost: x\r\n%b\r\n" % authorization
    for _ in range(50):
        with _connect(api) as client:
            client.sendall(tail + LIVE + b"\r\n")
            assert _status(client) == 200

    def may_follow() -> bool:
        with _connect(api) as client:
            client.sendall(tail)
            return _status(client) == 200

    api.until(may_follow)


def test_an_upgrade_is_ignored_and_what_follows_is_answered(api: Api) -> None:
    client = _connect(api)
    client.sendall(
        LIVE + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n" + LIVE + b"Connection: close\r\n\r\n"
    )

    assert re.findall(rb"HTTP/1.1 (\d+)", _read(client)) == [b"200", b"200"]


def test_what_is_not_http_is_a_problem_too(api: Api) -> None:
    client = _connect(api)
    client.sendall(b"\x16\x03\x01\x02\x00\x01\x00")

    answer = _read(client)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in answer


def test_no_header_changes_the_address_that_is_recorded(
    api: Api, authorization: bytes, connection: Connection
) -> None:
    client = _connect(api)
    client.sendall(
        b"GET /api/admin/audit-logs HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        b"X-Forwarded-For: 192.0.2.66\r\n%b\r\n" % authorization
    )
    assert _read(client).startswith(b"HTTP/1.1 200 ")

    recorded = "SELECT DISTINCT host(ip_address) FROM audit_logs WHERE action = 'audit.read'"
    assert scalar(connection, recorded) == "127.0.0.1"


@contextmanager
def _alive(api: Api) -> Iterator[None]:
    """Asks /health/live on a new connection again and again; each time it has to answer 200."""
    done = threading.Event()
    answers: list[object] = []

    def ask() -> None:
        while not done.wait(0.01):
            connection = HTTPConnection("127.0.0.1", _port(api), timeout=5)
            try:
                connection.request("GET", "/health/live")
                answers.append(connection.getresponse().status)
            except OSError as error:
                answers.append(error)
            finally:
                connection.close()

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield
    finally:
        done.set()
        asking.join()
    assert set(answers) == {200}


def _connect(api: Api, receive_buffer: int | None = None) -> socket.socket:
    client = socket.socket()
    if receive_buffer is not None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    client.settimeout(30)
    client.connect(("127.0.0.1", _port(api)))
    return client


def _post(authorization: bytes, length: int) -> bytes:
    return b"POST /api/audit-logs HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n%b\r\n" % (
        length,
        authorization,
    )


def _in_flight(client: socket.socket, authorization: bytes) -> None:
    """Begins a request whose handler waits for its body."""
    client.sendall(_post(b"Expect: 100-continue\r\n" + authorization, 100_000))
    assert client.recv(1000).startswith(b"HTTP/1.1 100")


def _flood(
    client: socket.socket, begin: bytes, endless: bytes, most: int = 64 << 20, pause: float = 0
) -> None:
    """Sends without end, until the other side answers or closes; it has to do so before `most` bytes."""
    sent = 0
    try:
        client.sendall(begin)
        while not select.select([client], [], [], pause)[0]:
            client.sendall(endless)
            sent += len(endless)
            assert sent < most, "nothing ends it"
    except (BrokenPipeError, ConnectionResetError):
        return


def _drip(client: socket.socket, drop: bytes) -> bytes:
    """Sends a drop now and then until there is an answer with an end."""
    deadline = time.monotonic() + 20
    answer = b""
    while time.monotonic() < deadline:
        if select.select([client], [], [], 0.1)[0]:
            part = client.recv(65536)
            answer += part
            if not part:
                return answer
        else:
            client.sendall(drop)
    raise AssertionError(f"nothing ends it: {answer!r}")


def _read(client: socket.socket) -> bytes:
    read = b""
    try:
        while part := client.recv(65536):
            read += part
    except ConnectionResetError:
        pass  # what was sent after the answer has been thrown away
    return read


def _status(client: socket.socket) -> int:
    """The status of the next answer, which is read to its end unless it is a stream."""
    answer = HTTPResponse(client)
    answer.begin()
    if not answer.chunked:
        answer.read()
    return answer.status


def _counted(api: Api, name: str, *labels: str) -> float:
    """What the metric's samples with all these label values add up to."""
    lines = api.get("/metrics").text.splitlines()
    chosen = [line for line in lines if line.startswith(name) and all(f'"{each}"' in line for each in labels)]
    return sum(float(line.rpartition(" ")[2]) for line in chosen)


def _memory(api: Api) -> int:
    """The process's resident memory in KiB."""
    status = Path(f"/proc/{api.popen.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def _port(api: Api) -> int:
    return int(api.address.rsplit(":", 1)[1])

"""No client loses an answer because its connection is closed, neither at SIGTERM nor after a refusal."""

import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.integration.api.process import Api

REQUEST = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
CLIENTS = 8


@pytest.fixture
def api(url: str, tmp_path: Path) -> Iterator[Api]:
    running = Api.start(tmp_path, url)
    yield running
    if running.popen.poll() is None:
        running.popen.kill()
        running.popen.wait()


def _address(api: Api) -> tuple[str, int]:
    return "127.0.0.1", int(api.address.rsplit(":", 1)[1])


def _read_all(connection: socket.socket) -> bytes:
    received = b""
    while part := connection.recv(65536):
        received += part
    return received


def test_no_connection_that_was_accepted_is_reset_at_sigterm(api: Api) -> None:
    """Each client opens a connection for each request, until it is refused."""
    outcomes: Counter[str] = Counter()

    def ask_until_refused() -> None:
        while True:
            try:
                connection = socket.create_connection(_address(api), timeout=30)
            except OSError:
                return
            with connection:
                try:
                    connection.sendall(REQUEST)
                    answer = connection.recv(65536)
                    outcomes["answered" if answer.startswith(b"HTTP/1.1 200") else "empty"] += 1
                except OSError as error:
                    outcomes[type(error).__name__] += 1

    clients = [threading.Thread(target=ask_until_refused) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    time.sleep(1)

    assert api.stop() == 0

    for client in clients:
        client.join()
    assert outcomes["answered"] > CLIENTS
    assert outcomes.keys() == {"answered"}, outcomes


def test_connections_in_the_listen_queue_are_answered(api: Api) -> None:
    """The process is stopped while they arrive, so that all are in the queue when it learns of the signal."""
    api.popen.send_signal(signal.SIGSTOP)
    queued = [socket.create_connection(_address(api), timeout=30) for _ in range(20)]
    for connection in queued[:10]:
        connection.sendall(REQUEST)

    api.popen.send_signal(signal.SIGTERM)
    api.popen.send_signal(signal.SIGCONT)
    api.until(lambda: "draining" in api.log.read_text())
    for connection in queued[10:]:
        connection.sendall(REQUEST)

    answers = [_read_all(connection) for connection in queued]
    assert {answer[:15] for answer in answers} == {b"HTTP/1.1 200 OK"}
    assert all(b"connection: close" in answer for answer in answers)
    assert api.popen.wait(timeout=30) == 0


@pytest.mark.parametrize("last", [b"", b"Connection: close\r\n"])
def test_a_client_that_sends_too_large_a_body_sees_the_answer(
    api: Api, admin: dict[str, str], last: bytes
) -> None:
    """It reads the answer only when it has sent everything."""
    size = 40 * 1024 * 1024
    head = b"POST /api/audit-logs HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nAuthorization: %b\r\n%b\r\n"
    with socket.create_connection(_address(api), timeout=30) as connection:
        connection.sendall(head % (size, admin["Authorization"].encode(), last))
        for _ in range(size // 65536):
            connection.sendall(bytes(65536))
        answer = connection.recv(65536)

    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_client_that_never_ends_its_body_is_cut_off(api: Api) -> None:
    head = b"POST /api/audit-logs HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n"
    head += b"Connection: close\r\n\r\n"
    sent = 0
    with socket.create_connection(_address(api), timeout=30) as connection, suppress(ConnectionError):
        connection.sendall(head)
        while sent < 2**30:
            sent += connection.send(bytes(2**20))

    assert 2**24 < sent < 2**28

"""Clients that speak HTTP badly, slowly or not at all."""

import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

from tests.integration.api.process import Api

LIVE = b"GET /health/live HTTP/1.1\r\nHost: x\r\n"
Start = Callable[..., Api]


LEAST_ANSWERS = 20


@contextmanager
def alive(api: Api) -> Iterator[None]:
    """Requests /health/live repeatedly on new connections; each answer must be 200.

    It continues for a while after the block, because the server may stay busy for longer than the block took.
    """
    done = threading.Event()
    answers: list[object] = []

    def ask() -> None:
        while len(answers) < LEAST_ANSWERS or not done.wait(0.01):
            connection = HTTPConnection("127.0.0.1", port_of(api), timeout=5)
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
    assert set(answers) == {200}, answers  # not a test module, so that pytest does not rewrite asserts here


def open_client(api: Api, receive_buffer: int | None = None) -> socket.socket:
    client = socket.socket()
    if receive_buffer is not None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    client.settimeout(30)
    client.connect(("127.0.0.1", port_of(api)))
    return client


def post(authorization: bytes, length: int) -> bytes:
    return b"POST /api/audit-logs HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n%b\r\n" % (
        length,
        authorization,
    )


def in_flight(client: socket.socket, authorization: bytes) -> None:
    """Starts a request whose handler waits for its body."""
    client.sendall(post(b"Expect: 100-continue\r\n" + authorization, 100_000))
    assert client.recv(1000).startswith(b"HTTP/1.1 100")


def flood(
    client: socket.socket, begin: bytes, endless: bytes, most: int = 64 << 20, pause: float = 0
) -> None:
    """Sends until the server answers or closes, which must happen before `most` bytes."""
    sent = 0
    try:
        client.sendall(begin)
        while not select.select([client], [], [], pause)[0]:
            client.sendall(endless)
            sent += len(endless)
            assert sent < most, "the server did not end it"
    except (BrokenPipeError, ConnectionResetError):
        return


def drip_until_answered(client: socket.socket, drop: bytes) -> bytes:
    """Sends a few bytes at intervals until the answer is complete."""
    deadline = time.monotonic() + 20
    answer = b""
    while time.monotonic() < deadline:
        try:
            if not select.select([client], [], [], 0.1)[0]:
                client.sendall(drop)
            elif part := client.recv(65536):
                answer += part
            else:
                return answer
        except (BrokenPipeError, ConnectionResetError):
            return answer + read_answer(client)  # the last bytes came too late; the answer was sent before
    raise AssertionError(f"nothing ends it: {answer!r}")


def read_answer(client: socket.socket) -> bytes:
    read = b""
    try:
        while part := client.recv(65536):
            read += part
    except ConnectionResetError:
        pass  # the server discarded what was sent after the answer
    return read


def read_status(client: socket.socket) -> int:
    """The status of the next answer, read to its end unless it is a stream."""
    answer = HTTPResponse(client)
    answer.begin()
    if not answer.chunked:
        answer.read()
    return answer.status


def metric_total(api: Api, name: str, *labels: str) -> float:
    """The sum of the metric's samples with all these label values."""
    lines = api.get("/metrics").text.splitlines()
    chosen = [line for line in lines if line.startswith(name) and all(f'"{each}"' in line for each in labels)]
    return sum(float(line.rpartition(" ")[2]) for line in chosen)


def memory_of(api: Api) -> int:
    """The process's resident memory in KiB."""
    status = Path(f"/proc/{api.popen.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def port_of(api: Api) -> int:
    return int(api.address.rsplit(":", 1)[1])

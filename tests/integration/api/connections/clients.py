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
    """Asks /health/live on a new connection again and again; each time it has to answer 200.

    It goes on asking after what is done meanwhile, which a server may be busy with for longer than it took.
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
    assert set(answers) == {200}, answers  # not a test module: pytest would not say it


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
    """Begins a request whose handler waits for its body."""
    client.sendall(post(b"Expect: 100-continue\r\n" + authorization, 100_000))
    assert client.recv(1000).startswith(b"HTTP/1.1 100")


def flood(
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


def drip_until_answered(client: socket.socket, drop: bytes) -> bytes:
    """Sends a drop now and then until there is an answer with an end."""
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
            return answer + read_answer(client)  # a drop came too late; what was sent before it is there
    raise AssertionError(f"nothing ends it: {answer!r}")


def read_answer(client: socket.socket) -> bytes:
    read = b""
    try:
        while part := client.recv(65536):
            read += part
    except ConnectionResetError:
        pass  # what was sent after the answer has been thrown away
    return read


def read_status(client: socket.socket) -> int:
    """The status of the next answer, which is read to its end unless it is a stream."""
    answer = HTTPResponse(client)
    answer.begin()
    if not answer.chunked:
        answer.read()
    return answer.status


def metric_total(api: Api, name: str, *labels: str) -> float:
    """What the metric's samples with all these label values add up to."""
    lines = api.get("/metrics").text.splitlines()
    chosen = [line for line in lines if line.startswith(name) and all(f'"{each}"' in line for each in labels)]
    return sum(float(line.rpartition(" ")[2]) for line in chosen)


def memory_of(api: Api) -> int:
    """The process's resident memory in KiB."""
    status = Path(f"/proc/{api.popen.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def port_of(api: Api) -> int:
    return int(api.address.rsplit(":", 1)[1])

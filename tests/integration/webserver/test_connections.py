"""Clients that send half a request, or many, do not end the web server of the Dagster UI."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.eventually import eventually
from tests.integration.api.process import free_port, limited

WITHOUT_DAGSTER = Path(__file__).with_name("without_dagster.py")
HALF = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
HALF_A_BODY = (
    b"POST /sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\n\r\nk"
)


@dataclass
class Running:
    """A web server."""

    process: "subprocess.Popen[str]"
    port: int

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def info(self) -> int | None:
        with suppress(httpx.TransportError):
            return httpx.get(f"http://127.0.0.1:{self.port}/server_info", timeout=30).status_code
        return None


@contextmanager
def _started(*arguments: str, open_files: int) -> Iterator[Running]:
    port = free_port()
    process = subprocess.Popen(
        limited(open_files, [sys.executable, str(WITHOUT_DAGSTER), *arguments]),
        env=os.environ | {"OPS_DAGSTER_PORT": str(port)},
        stderr=subprocess.PIPE,
        text=True,
    )
    running = Running(process, port)
    try:
        eventually(lambda: process.poll() is not None or running.info() == 200, seconds=60)
        yield running
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def hasty() -> Iterator[Running]:
    """One whose clients have a second instead of ten."""
    with _started("1", open_files=512) as running:
        yield running


def test_half_sent_requests_beyond_ulimit_cost_no_one_else_an_answer() -> None:
    with _started(open_files=512) as running, ExitStack() as clients:
        for _ in range(700):
            client = clients.enter_context(closing(running.connect()))
            client.sendall(HALF)

        assert running.info() == 200
        page = httpx.get(f"http://127.0.0.1:{running.port}/sign-in", timeout=30)
        assert page.status_code == 200
        open_now = len(list(Path(f"/proc/{running.process.pid}/fd").iterdir()))
        assert open_now < 256, "half of them are for the process itself"
        assert running.process.poll() is None
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(timeout=60) in (0, -signal.SIGTERM)


def test_half_sent_bodies_of_no_one_known_cost_no_one_else_an_answer() -> None:
    with _started(open_files=512) as running, ExitStack() as clients:
        held = []
        for _ in range(300):
            client = clients.enter_context(closing(running.connect()))
            client.sendall(HALF_A_BODY)
            held.append(client)
        for _ in range(5):
            page = httpx.get(f"http://127.0.0.1:{running.port}/sign-in", timeout=30)
            assert page.status_code == 200

        assert running.info() == 200
        assert held[0].recv(1000).startswith(b"HTTP/1.1 503 "), "it waited for the longest time"
        held[-1].sendall(b"y" * 99)
        assert held[-1].recv(1000).startswith(b"HTTP/1.1 400 "), "the newest one's body still arrives"


def test_a_head_that_does_not_end_is_refused(hasty: Running) -> None:
    with closing(hasty.connect()) as client:
        client.sendall(HALF)
        answer = client.makefile("rb").read().decode()

    assert answer.startswith("HTTP/1.1 408 ")
    assert "The request's head was not complete after 1 s. Nothing was done" in answer


def test_a_body_that_does_not_come_is_refused(hasty: Running) -> None:
    with closing(hasty.connect()) as client:
        client.sendall(
            b"POST /sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n"
            b"Content-Type: application/x-www-form-urlencoded\r\n\r\nkey="
        )
        answer = client.makefile("rb").read().decode()

    assert answer.startswith("HTTP/1.1 408 ")
    assert "The request's body had 4 bytes in 1 s" in answer


@pytest.mark.parametrize(("head", "status"), [
    (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 300 + b"\r\n", 431),
    (b"GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n" + b"a: b\r\n" * 300 + b"\r\n", 431),
    (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", 431),
    (b"\x16\x03\x01 TLS\r\n\r\n", 400),
])  # fmt: skip
def test_a_head_that_is_none_or_too_large_is_refused(hasty: Running, head: bytes, status: int) -> None:
    with closing(hasty.connect()) as client:
        with suppress(OSError):
            client.sendall(head)
        assert client.recv(1000).startswith(b"HTTP/1.1 %d " % status)
    assert hasty.info() == 200


def test_a_limit_on_open_files_that_is_too_low_is_named() -> None:
    with _started(open_files=300) as running:
        assert running.process.wait(timeout=60) == 1
        assert running.process.stderr is not None
        assert "the limit on open files is 300, at least 448 are required" in running.process.stderr.read()

"""`python -m api` as a process: how it starts and drains, and its exit codes."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from ops_pipeline.access import keys
from ops_pipeline.postgres.connection import Connection, scalar
from tests.eventually import eventually

NOWHERE = "postgresql://ops:hidden@127.0.0.1:1/app"
BODY = b'{"eventType": "in flight"}'
Start = Callable[..., "Process"]


@dataclass
class Process:
    popen: subprocess.Popen[str]
    port: int

    def get(self, path: str) -> tuple[int, dict[str, Any]]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", path)
        answer = connection.getresponse()
        body = json.loads(answer.read())
        connection.close()
        return answer.status, body

    def wait_until(self, listens: bool) -> None:
        eventually(lambda: _listens(self.port) is listens or (listens and self.popen.poll() is not None))
        assert not listens or self.popen.poll() is None, self.popen.communicate()[1]

    def ended(self) -> tuple[int, str]:
        """Its exit code and its log."""
        _, log = self.popen.communicate(timeout=30)
        return self.popen.returncode, log


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    running: list[Process] = []

    def begin(url: str, **environment: str) -> Process:
        port = environment.get("OPS_API_PORT") or str(_free_port())
        popen = subprocess.Popen(
            [sys.executable, "-m", "api"],
            cwd=tmp_path,
            env={**os.environ, "OPS_DATABASE_URL": url, "OPS_API_PORT": port, **environment},
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(Process(popen, int(port)))
        return running[-1]

    yield begin
    for process in running:
        if process.popen.poll() is None:
            process.popen.kill()
        process.popen.communicate()


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
def test_a_request_in_flight_is_answered_before_the_process_ends(
    start: Start, url: str, connection: Connection, told: signal.Signals
) -> None:
    process = start(url)
    process.wait_until(listens=True)
    with _in_flight(process.port, keys.create(connection, "test", ["audit:write"]).key) as request:
        process.popen.send_signal(told)
        process.wait_until(listens=False)
        request.sendall(BODY)
        answer = _read_to_end(request)
    code, log = process.ended()

    assert answer.startswith(b"HTTP/1.1 201")
    stored = "SELECT count(*) FROM audit_logs WHERE event_type = 'in flight'"
    assert scalar(connection, stored) == 1
    assert code == 0, log


def test_a_request_that_never_ends_is_cut_off_with_exit_code_1(
    start: Start, url: str, connection: Connection
) -> None:
    process = start(url, OPS_SHUTDOWN_TIMEOUT_SECONDS="1")
    process.wait_until(listens=True)
    with _in_flight(process.port, keys.create(connection, "test", ["audit:write"]).key):
        process.popen.terminate()
        code, log = process.ended()

    assert code == 1, log


def test_it_runs_without_its_database_and_says_why_it_is_not_ready(start: Start) -> None:
    process = start(NOWHERE)
    process.wait_until(listens=True)

    alive, live = process.get("/health/live")
    status, ready = process.get("/health/ready")
    full, _ = process.get("/health/full")
    process.popen.terminate()
    code, log = process.ended()

    assert (alive, live["status"]) == (200, "alive")
    assert (status, ready["status"], ready["reason"]) == (503, "not_ready", "Database unavailable")
    assert full == 503
    assert code == 0, log
    assert "hidden" not in log


def test_a_port_in_use_is_reported_in_one_line(start: Start, url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, log = start(url, OPS_API_PORT=str(taken.getsockname()[1])).ended()

    assert code == 1
    assert "Traceback" not in log
    assert "in use" in log


@pytest.mark.parametrize(("setting", "wrong"), [("OPS_API_PORT", "70000"), ("OPS_DATABASE_URL", "mysql://x")])
def test_an_invalid_setting_is_reported_by_name(start: Start, setting: str, wrong: str) -> None:
    code, log = start(**{"url": NOWHERE, setting: wrong}).ended()

    assert code == 2
    assert setting in log
    assert "Traceback" not in log


@contextmanager
def _in_flight(port: int, key: str) -> Iterator[socket.socket]:
    """A request whose handler waits for its body, which the caller can send."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as request:
        request.sendall(
            b"POST /api/audit-logs HTTP/1.1\r\nHost: test\r\nConnection: close\r\nExpect: 100-continue\r\n"
            b"Authorization: Bearer %b\r\nContent-Length: %d\r\n\r\n" % (key.encode(), len(BODY))
        )
        assert request.recv(1000).startswith(b"HTTP/1.1 100")  # sent when the handler starts to read the body
        yield request


def _read_to_end(request: socket.socket) -> bytes:
    read = b""
    while part := request.recv(65536):
        read += part
    return read


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])

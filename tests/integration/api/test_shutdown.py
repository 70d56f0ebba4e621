"""The API ends in time whatever it is doing, and its exit code says how it ended."""

import json
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.integration.api.process import Api


@pytest.fixture(params=["2"])
def api(url: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Api]:
    """An API that may take so many seconds to shut down: too few for what hangs."""
    running = Api.start(tmp_path, url, faults=True, OPS_SHUTDOWN_TIMEOUT_SECONDS=request.param)
    yield running
    if running.popen.poll() is None:
        running.popen.kill()
        running.popen.wait()


def _in_background(api: Api, path: str) -> tuple[threading.Thread, list[httpx.Response | Exception]]:
    answers: list[httpx.Response | Exception] = []

    def ask() -> None:
        try:
            answers.append(api.get(path))
        except httpx.TransportError as error:
            answers.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    time.sleep(0.5)  # it is in flight
    return thread, answers


@pytest.mark.parametrize("api", ["20"], indirect=True)  # enough on a busy machine as well
def test_requests_in_flight_are_answered_and_each_phase_is_logged(api: Api) -> None:
    asking, answers = _in_background(api, "/fault/sleep?seconds=1.5")

    assert api.stop() == 0

    asking.join()
    (answer,) = answers
    assert isinstance(answer, httpx.Response)
    assert answer.json() == {"slept": 1.5}
    assert answer.headers["connection"] == "close"
    lines = [json.loads(line) for line in api.log.read_text().splitlines()]
    phases = [line["event"] for line in lines if "seconds" in line]
    assert phases == [
        "draining",
        "stopped listening",
        "answered everything in flight",
        "closed pools and checks",
        "stopped",
    ]


def test_while_it_waits_to_stop_it_serves_but_is_not_ready(url: str, tmp_path: Path) -> None:
    api = Api.start(tmp_path, url, OPS_PRESTOP_DELAY_SECONDS="2")
    assert api.status("/health/ready") == 200

    api.popen.send_signal(signal.SIGTERM)
    api.until(lambda: api.status("/health/ready") == 503)

    answer = api.get("/health/ready")
    assert answer.json()["reason"] == "Shutting down"
    assert answer.headers["connection"] == "close"
    assert api.status("/health/live") == 200
    assert api.popen.wait(timeout=30) == 0


def test_a_request_that_never_ends_is_canceled_and_named(api: Api) -> None:
    asking, answers = _in_background(api, "/fault/sleep?seconds=600")

    assert api.stop() == 1

    asking.join()
    assert len(answers) == 1
    assert "GET /fault/sleep (" in api.log.read_text()


def test_a_blocked_loop_is_ended_by_the_watchdog(api: Api) -> None:
    asking, _ = _in_background(api, "/fault/block?seconds=60")

    assert api.stop() == 1

    asking.join()
    assert "the event loop does not end" in api.log.read_text()
    assert "GET /fault/block (" in api.log.read_text()


def test_an_exception_in_a_thread_ends_a_process_whose_loop_is_blocked(api: Api) -> None:
    asking, _ = _in_background(api, "/fault/thread-then-block?seconds=60")

    assert api.popen.wait(timeout=30) == 1

    asking.join()
    assert "the event loop does not end" in api.log.read_text()


@pytest.mark.parametrize("fault", ["sleep", "block"])
def test_a_second_signal_ends_it_at_once(api: Api, fault: str) -> None:
    asking, _ = _in_background(api, f"/fault/{fault}?seconds=60")
    api.popen.send_signal(signal.SIGTERM)
    time.sleep(0.5)

    assert api.stop(signal.SIGINT) == 1

    asking.join()
    assert "second signal" in api.log.read_text()


@pytest.mark.parametrize("fault", ["thread", "task", "kept-task"])
def test_an_uncaught_exception_ends_the_process_the_same_way(api: Api, fault: str) -> None:
    asking, answers = _in_background(api, "/fault/sleep?seconds=1.5")
    api.get(f"/fault/{fault}")

    assert api.popen.wait(timeout=30) == 1

    asking.join()
    (answer,) = answers
    assert isinstance(answer, httpx.Response), "the request in flight was answered nevertheless"
    assert "ZeroDivisionError" in api.log.read_text()


def test_idle_and_half_open_clients_do_not_hold_it_up(api: Api) -> None:
    port = int(api.address.rsplit(":", 1)[1])
    idle = socket.create_connection(("127.0.0.1", port))
    half = socket.create_connection(("127.0.0.1", port))
    half.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n")
    kept = httpx.Client()
    kept.get(f"{api.address}/health/live")

    assert api.stop() == 0

    for each in (idle, half, kept):
        each.close()

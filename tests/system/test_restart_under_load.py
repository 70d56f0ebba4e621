"""Restarted under load, the API loses no acknowledged event and cuts no answer short."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from ops_pipeline.access import keys
from ops_pipeline.partitions.premake import premake
from ops_pipeline.postgres.connection import Connection
from tests.api_process import free_port
from tests.eventually import eventually
from tests.named import named
from tests.system.wire import CutShortError, Wire

FAULTS = Path(__file__).parents[1] / "integration" / "api" / "server_with_faults.py"
EXPORTED = 3000
KINDS = ("keep-alive", "slow", "export", "stream begun", "idle")
MOMENTS = random.Random()  # noqa: S311 - no secret is made of it


@dataclass
class Service:
    """An API that is restarted repeatedly on the same port, with routes that misbehave."""

    folder: Path
    url: str
    port: int
    patience: str = "30"
    popen: "subprocess.Popen[bytes] | None" = None
    waiting: list[Wire] = field(default_factory=list)
    """Connections of clients that wait for a misbehaving route and do not disconnect."""

    def start(self) -> None:
        environment = {
            **os.environ,
            "OPS_DATABASE_URL": self.url,
            "OPS_API_PORT": str(self.port),
            "OPS_SHUTDOWN_TIMEOUT_SECONDS": self.patience,
        }
        with self.log.open("ab") as log:
            self.popen = subprocess.Popen(
                [sys.executable, str(FAULTS)], cwd=self.folder, env=environment, stderr=log
            )
        until(self._answers, self.log)

    def send(self, told: signal.Signals) -> None:
        assert self.popen is not None
        self.popen.send_signal(told)

    def ended(self) -> int:
        assert self.popen is not None
        code = self.popen.wait(timeout=60)
        self.popen = None
        while self.waiting:
            self.waiting.pop().close()
        return code

    @property
    def log(self) -> Path:
        return self.folder / "api.log"

    def _answers(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/health/ready", timeout=5).is_success
        except httpx.TransportError:
            return False


@dataclass
class Load:
    """Clients of every kind, which connect again whenever their connection ends."""

    port: int
    key: str
    over: threading.Event = field(default_factory=threading.Event)
    acknowledged: set[str] = field(default_factory=set)
    done: Counter[str] = field(default_factory=Counter)
    cut_short: list[str] = field(default_factory=list)
    streams_without_end: int = 0
    wrong: list[str] = field(default_factory=list)

    def clients(self) -> list[threading.Thread]:
        kinds = [self.keep_alive, self.keep_alive, self.slow, self.slow_export, self.stream, self.idle]
        return [threading.Thread(target=self._again, args=(kind,), name=kind.__name__) for kind in kinds]

    def keep_alive(self, wire: Wire) -> bool:
        """Posts one event after the other over one connection."""
        return self._post(wire, "keep-alive", lambda body: [body])

    def slow(self, wire: Wire) -> bool:
        """Posts an event in three pieces, with pauses."""
        return self._post(wire, "slow", lambda body: [body[:10], body[10:30], body[30:]])

    def slow_export(self, wire: Wire) -> bool:
        """Reads an export a little at a time."""
        wire.pause, wire.piece = (lambda: time.sleep(0.002)), 8192
        answer = wire.ask("GET", "/api/admin/audit-logs/export?eventType=exported", self.key)
        if answer is None or answer.status == 503:
            return False
        if answer.body.count(b'"exported"') != EXPORTED:
            self.wrong.append(f"export of {answer.body.count(b'exported')} rows")
        self.done["export"] += 1
        return True

    def stream(self, wire: Wire) -> bool:
        """Reads the live tail, which ends only with the API."""
        self.done["stream begun"] += 1
        answer = wire.ask("GET", "/api/admin/audit-logs/stream", self.key)
        if answer is not None and answer.status == 200:
            self.done["stream"] += 1
            self.streams_without_end += b"event: end" not in answer.body
        return False

    def idle(self, wire: Wire) -> bool:
        """Sends one query, and then nothing until the API ends the connection."""
        if (answer := wire.ask("GET", "/health/live", self.key)) is not None:
            self.done["idle"] += 1
            if answer.headers.get("connection") != "close" and (came := wire.ended()):
                self.wrong.append(f"an idle connection was sent {came[:100]!r}")
        return False

    def _post(self, wire: Wire, kind: str, split: Callable[[bytes], list[bytes]]) -> bool:
        event_id = str(uuid4())
        body = json.dumps({"eventType": kind, "id": event_id}).encode()
        answer = wire.ask("POST", "/api/audit-logs", self.key, *split(body))
        if answer is None:
            return False
        if answer.status == 201:
            self.acknowledged.add(event_id)
            self.done[kind] += 1
        elif answer.status != 503:
            self.wrong.append(f"{answer.status} {answer.body[:200]!r}")
        return answer.headers.get("connection") != "close"

    def _again(self, kind: Callable[[Wire], bool]) -> None:
        while not self.over.is_set():
            try:
                wire = Wire.to(self.port)
            except OSError:
                time.sleep(0.02)
                continue
            try:
                while kind(wire) and not self.over.is_set():
                    continue
            except CutShortError as error:
                self.cut_short.append(f"{kind.__name__}: {error}")
            except OSError as error:
                self.wrong.append(f"{kind.__name__}: {error!r}")
            finally:
                wire.close()


@pytest.fixture
def service(tmp_path: Path, url: str) -> Iterator[Service]:
    made = Service(tmp_path, url, free_port())
    yield made
    if made.popen is not None:
        made.popen.kill()
        made.popen.wait()


@pytest.fixture
def load(service: Service, connection: Connection) -> Load:
    premake(connection, named(connection, "public.audit_logs"))
    connection.execute(
        "INSERT INTO audit_logs (event_type, created_at)"
        " SELECT 'exported', now() FROM generate_series(1, %s)",
        [EXPORTED],
    )
    scopes = ["audit:write", "audit:read", "audit:export"]
    return Load(service.port, keys.create(connection, "load", scopes).key)


def _by_signal(service: Service) -> None:
    service.send(MOMENTS.choice([signal.SIGTERM, signal.SIGINT]))


def _never_ending(service: Service) -> None:
    _in_flight(service, "/fault/sleep?seconds=600")
    service.send(signal.SIGTERM)


def _blocked(service: Service) -> None:
    _in_flight(service, "/fault/block?seconds=600")
    service.send(signal.SIGTERM)


def _second_signal(service: Service) -> None:
    _in_flight(service, "/fault/sleep?seconds=600")
    service.send(signal.SIGTERM)
    time.sleep(MOMENTS.uniform(0, 0.5))
    service.send(signal.SIGINT)


def _thread_fails(service: Service) -> None:
    _in_flight(service, "/fault/thread")


@pytest.mark.parametrize("restarts", [2, pytest.param(100, marks=pytest.mark.prove)])
def test_a_graceful_stop_answers_everything_and_loses_nothing(
    service: Service, load: Load, connection: Connection, restarts: int
) -> None:
    _restart(service, load, _by_signal, restarts, code=0)

    _nothing_is_lost(load, connection)
    assert load.cut_short == []
    assert load.streams_without_end == 0
    assert load.done["stream"] >= restarts, "a stream was open at each restart"


@pytest.mark.parametrize(
    ("end", "answers_all"),
    [(_never_ending, True), (_blocked, False), (_second_signal, False), (_thread_fails, True)],
)
@pytest.mark.parametrize("restarts", [1, pytest.param(25, marks=pytest.mark.prove)])
def test_a_forced_stop_says_so_and_loses_nothing(
    service: Service, load: Load, connection: Connection, end: Callable[[Service], None],
    answers_all: bool, restarts: int,
) -> None:  # fmt: skip
    service.patience = "3"
    _restart(service, load, end, restarts, code=1)

    _nothing_is_lost(load, connection)
    if answers_all:
        assert load.cut_short == [], "every request that could be answered in time was answered"


def _restart(service: Service, load: Load, end: Callable[[Service], None], times: int, *, code: int) -> None:
    clients = load.clients()
    for client in clients:
        client.start()
    try:
        for _ in range(times):
            before = load.done.copy()
            service.start()
            _until_busy(service, load, before)
            time.sleep(MOMENTS.uniform(0.1, 0.5))
            end(service)
            assert service.ended() == code, service.log.read_text()[-5000:]
    finally:
        load.over.set()
        if service.popen is not None:
            service.popen.kill()
        for client in clients:
            client.join(timeout=60)
    assert load.wrong == []


def _until_busy(service: Service, load: Load, before: Counter[str]) -> None:
    until(lambda: all(load.done[kind] > before[kind] for kind in KINDS), service.log)


def _nothing_is_lost(load: Load, connection: Connection) -> None:
    stored = [
        str(each)
        for (each,) in connection.execute(
            "SELECT id FROM audit_logs WHERE event_type IN ('keep-alive', 'slow')"
        )
    ]
    assert len(stored) == len(set(stored))
    assert load.acknowledged <= set(stored)
    print(f"{dict(load.done)}, {len(load.acknowledged)} acknowledged")  # noqa: T201 - for docs/proofs.md


def _in_flight(service: Service, path: str) -> None:
    service.waiting.append(wire := Wire.to(service.port))
    wire.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    time.sleep(0.3)


def until(condition: Callable[[], bool], log: Path) -> None:
    eventually(condition, otherwise=lambda: log.read_text()[-5000:])

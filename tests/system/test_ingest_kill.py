"""The API is killed under load, and every event that it acknowledged is in the table, once."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from ops_pipeline.access import keys
from ops_pipeline.postgres.connection import Connection, scalar
from tests.eventually import eventually

CLIENTS = 6
Event = dict[str, Any]


@dataclass
class Api:
    """An API that is killed and started again, at the same address."""

    folder: Path
    url: str
    port: int
    popen: "subprocess.Popen[bytes] | None" = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        environment = {**os.environ, "OPS_DATABASE_URL": self.url, "OPS_API_PORT": str(self.port)}
        with (self.folder / "api.log").open("ab") as log:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", "api"], cwd=self.folder, env=environment, stderr=log
            )
        log_file, popen = self.folder / "api.log", self.popen
        eventually(
            lambda: self._answers() or popen.poll() is not None, seconds=120, otherwise=log_file.read_text
        )
        assert popen.poll() is None, log_file.read_text()

    def kill(self) -> None:
        if self.popen is not None:
            self.popen.send_signal(signal.SIGKILL)
            self.popen.wait(timeout=30)
            self.popen = None

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.address}/health/live", timeout=5).is_success
        except httpx.TransportError:
            return False


@dataclass
class Load:
    """Clients that send each event until it is acknowledged."""

    address: str
    headers: dict[str, str]
    over: threading.Event = field(default_factory=threading.Event)
    answered: set[str] = field(default_factory=set)
    retries: int = 0
    # Shared, because each new context reads all CA certificates again.
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=30))

    def client(self, number: int) -> None:
        send = [self._one, self._batch, self._keyed][number % 3]
        while not self.over.is_set():
            send()

    def _one(self) -> None:
        event = {"eventType": "one", "id": str(uuid4())}
        self.answered.add(self._sent(event)["id"])

    def _batch(self) -> None:
        dated = {"createdAt": "2026-03-01T12:00:00Z"}
        events = [{"eventType": "batch", "id": str(uuid4()), **(dated if at % 2 else {})} for at in range(20)]
        self.answered.update(result["id"] for result in self._sent(events)["results"])

    def _keyed(self) -> None:
        events = [{"eventType": "keyed"}, {"eventType": "keyed"}]
        answer = self._sent(events, {"Idempotency-Key": str(uuid4())})
        self.answered.update(result["id"] for result in answer["results"])

    def _sent(self, body: Event | list[Event], headers: dict[str, str] | None = None) -> Any:
        while True:
            try:
                answer = self.http.post(
                    f"{self.address}/api/audit-logs", json=body,
                    headers={**self.headers, **(headers or {})},
                )  # fmt: skip
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code != 503:
                assert answer.status_code == 201, answer.text
                return answer.json()
            self.retries += 1
            time.sleep(0.2)


@pytest.fixture
def api(tmp_path: Path, url: str, free_port: Callable[[], int]) -> Iterator[Api]:
    started = Api(tmp_path, url, free_port())
    started.start()
    yield started
    started.kill()


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.prove)])
def test_an_acknowledged_event_survives_kill_9_and_is_stored_once(
    api: Api, connection: Connection, kills: int
) -> None:
    key = keys.create(connection, "load", ["audit:write", "audit:import"])
    # Creating a key is an event as well.
    connection.execute("DELETE FROM audit_logs")
    load = Load(api.address, {"Authorization": f"Bearer {key.key}"})
    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(load.client, number) for number in range(CLIENTS)]
        try:
            for _ in range(kills):
                before = len(load.answered)
                eventually(lambda before=before: len(load.answered) > before + 300)  # type: ignore[misc]  # a default binds it
                api.kill()
                api.start()
        finally:
            load.over.set()
        for client in clients:
            client.result(timeout=60)

    stored = [str(each) for (each,) in connection.execute("SELECT id FROM audit_logs")]
    assert len(stored) == len(set(stored)) == scalar(connection, "SELECT count(*) FROM audit_logs")
    assert set(stored) == load.answered
    assert load.retries >= kills, "no client was posting when the API was killed"

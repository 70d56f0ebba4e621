"""What each tier answers in each situation, with real faults; docs/health.md shows what this proves."""

import os
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from ops_pipeline import database, embedded, keys
from ops_pipeline.maintenance import partitions
from tests.integration.api.process import Api
from tests.integration.api.proxy import Proxy

PAGE = Path(__file__).parents[3] / "docs" / "health.md"
RECOVERY_SECONDS = 5.0

HEALTHY = ("200 alive", "200 ready", "200 healthy")
DEGRADED = ("200 alive", "200 ready", "200 degraded")
UNHEALTHY = ("200 alive", "503 not_ready", "503 unhealthy")
DRAINING = ("200 alive", "503 not_ready", "200 healthy")

SITUATIONS = {
    "everything is there": HEALTHY,
    "the database refuses connections": UNHEALTHY,
    "the database is frozen": UNHEALTHY,
    "the network to the database swallows every packet": UNHEALTHY,
    "our tables are missing": UNHEALTHY,
    "the cache is down": DEGRADED,
    "the external API is down": DEGRADED,
    "told to stop, still serving": DRAINING,
}


@dataclass
class World:
    """An API, and what it depends on, all of which can be broken."""

    api: Api
    proxy: Proxy
    server: Path
    neighbours: dict[str, "Neighbour"]
    admin: str
    direct: str
    authorization: dict[str, str]

    def tiers(self) -> tuple[str, str, str]:
        live, ready, full = (self.api.get(f"/health/{tier}") for tier in ("live", "ready", "full"))
        return (
            f"{live.status_code} {live.json()['status']}",
            f"{ready.status_code} {ready.json()['status']}",
            f"{full.status_code} {full.json()['status']}",
        )

    def postgres(self) -> list[int]:
        postmaster = int((self.server / "data" / "postmaster.pid").read_text().splitlines()[0])
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        return [postmaster, *map(int, children)]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("health")
    with embedded.running(folder / "postgres") as server:
        database.migrate(server.url("app"))
        with database.connect(server.url("app"), "test") as connection:
            partitions.ensure_ahead(connection, "audit_logs")
            key = keys.create(connection, "auditor", ["audit:read"]).key
        with database.connect(server.url("dagster"), "test") as dagster:
            dagster.execute(
                "CREATE TABLE daemon_heartbeats (daemon_type text, timestamp timestamp);"
                "INSERT INTO daemon_heartbeats VALUES ('SCHEDULER', now() + interval '1 day')"
            )
        proxy = Proxy(server.port)
        neighbours = {name: Neighbour() for name in ("cache", "externalApi")}
        cache, external = (each.port for each in neighbours.values())
        api = Api.start(
            folder,
            f"postgresql://postgres:{server.password}@127.0.0.1:{proxy.port}/app",
            OPS_DAGSTER_DATABASE_URL=server.url("dagster"),
            OPS_CACHE_URL=f"redis://127.0.0.1:{cache}",
            OPS_EXTERNAL_API_URL=f"http://127.0.0.1:{external}/",
            OPS_PRESTOP_DELAY_SECONDS="3",
        )
        yield World(
            api,
            proxy,
            folder / "postgres",
            neighbours,
            admin=server.url("postgres"),
            direct=server.url("app"),
            authorization={"Authorization": f"Bearer {key}"},
        )
        if api.popen.poll() is None:
            api.popen.kill()
            api.popen.wait()
        proxy.close()


class Neighbour:
    """Answers well enough for Redis' handshake and PING, and for an HTTP GET, until it goes down."""

    def __init__(self) -> None:
        self.is_down = False
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._clients: list[socket.socket] = []
        self.port = int(self._listening.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def go_down(self) -> None:
        self.is_down = True
        for each in (self._listening, *self._clients):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _serve(self) -> None:
        with suppress(OSError):  # it went down
            while True:
                client, _ = self._listening.accept()
                self._clients.append(client)
                threading.Thread(target=self._answer, args=(client,), daemon=True).start()

    def _answer(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            while request := client.recv(65536):
                if request.startswith(b"GET"):
                    client.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
                    return
                for command in re.split(rb"\*\d+\r\n", request)[1:]:
                    client.sendall(b"+PONG\r\n" if b"PING" in command else b"+OK\r\n")


@contextmanager
def frozen(world: World) -> Iterator[None]:
    processes = world.postgres()
    for pid in processes:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in processes:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


@contextmanager
def unreachable(world: World) -> Iterator[None]:
    world.proxy.swallow()
    try:
        yield
    finally:
        world.proxy.let_through()


@contextmanager
def refused(world: World) -> Iterator[None]:
    """The server is there and says no, as one that starts or stops does."""
    with psycopg.connect(world.admin, autocommit=True) as session:
        session.execute("ALTER DATABASE app ALLOW_CONNECTIONS false")
        session.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'app'")
        try:
            yield
        finally:
            session.execute("ALTER DATABASE app ALLOW_CONNECTIONS true")


@contextmanager
def without_schema(world: World) -> Iterator[None]:
    with psycopg.connect(world.direct, autocommit=True) as session:
        session.execute("ALTER TABLE audit_logs RENAME TO hidden")
        try:
            yield
        finally:
            session.execute("ALTER TABLE hidden RENAME TO audit_logs")


FAULTS = {
    "the database refuses connections": refused,
    "the database is frozen": frozen,
    "the network to the database swallows every packet": unreachable,
    "our tables are missing": without_schema,
}
NEIGHBOURS = {"the cache is down": "cache", "the external API is down": "externalApi"}


@pytest.mark.parametrize("situation", FAULTS)
def test_without_its_database_it_is_alive_and_recovers_by_itself(world: World, situation: str) -> None:
    world.api.until(lambda: world.tiers() == SITUATIONS["everything is there"])

    with FAULTS[situation](world):
        world.api.until(lambda: world.tiers() == SITUATIONS[situation], seconds=15)
        began = time.monotonic()
        answer = world.api.get("/api/admin/audit-logs", headers=world.authorization)
        assert answer.status_code == 503, answer.text
        assert "Retry-After" in answer.headers
        assert time.monotonic() - began < 25, "no request hangs longer than its timeout"

    world.api.until(lambda: world.api.status("/health/ready") == 200, seconds=RECOVERY_SECONDS)


@pytest.mark.parametrize("situation", NEIGHBOURS)
def test_without_a_neighbour_it_is_ready_and_degraded(world: World, situation: str) -> None:
    neighbour = NEIGHBOURS[situation]

    world.neighbours[neighbour].go_down()

    world.api.until(lambda: world.api.status(f"/health/full/{neighbour}") == 503, seconds=40)
    assert world.tiers() == SITUATIONS[situation]
    down = ",".join(name for name, each in world.neighbours.items() if each.is_down)
    assert world.api.get(f"/health/full?exclude={down}").json()["status"] == "healthy"


def test_told_to_stop_it_is_no_longer_ready(world: World) -> None:
    world.api.popen.send_signal(signal.SIGTERM)

    world.api.until(lambda: world.api.status("/health/ready") == 503, seconds=2)
    live, ready, _ = world.tiers()

    assert (live, ready) == SITUATIONS["told to stop, still serving"][:2]
    assert world.api.popen.wait(timeout=30) == 0


def test_the_page_says_what_this_proves() -> None:
    rows = [f"| {situation} | {' | '.join(answers)} |" for situation, answers in SITUATIONS.items()]
    table = "\n".join(["| situation | live | ready | full |", "|---|---|---|---|", *rows])

    assert table in PAGE.read_text()

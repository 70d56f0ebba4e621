"""What each health tier answers under real faults; docs/health.md shows the observed answers.

`WRITE_DOCS=1` rewrites the table in that page.
"""

import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
import pytest

from ops_pipeline.access import keys
from ops_pipeline.maintenance import kinds
from ops_pipeline.partitions.premake import premake
from ops_pipeline.postgres.connection import connect
from ops_pipeline.postgres.migrations import migrate
from tests.integration.api.outage import Outage
from tests.integration.api.process import Api
from tests.named import named

PAGE = Path(__file__).parents[3] / "docs" / "health.md"
RECOVERY_SECONDS = 5.0
TIERS = ("live", "ready", "startup", "full")
Answers = tuple[str, ...]

HEALTHY = ("200 alive", "200 ready", "200 started", "200 healthy")
DEGRADED = ("200 alive", "200 ready", "200 started", "200 degraded")
UNHEALTHY = ("200 alive", "503 not_ready", "200 started", "503 unhealthy")

SITUATIONS = {
    "everything works": HEALTHY,
    "the database refuses connections": UNHEALTHY,
    "the database is frozen": UNHEALTHY,
    "the network to the database swallows every packet": UNHEALTHY,
    "our tables are missing": UNHEALTHY,
    "requests wait for a connection": DEGRADED,
    "Dagster's scheduler is silent": DEGRADED,
    "a schedule is off": DEGRADED,
    "policies.yaml is broken": DEGRADED,
    "a policy missed its scheduled run": DEGRADED,
    "the cache is down": DEGRADED,
    "the external API is down": DEGRADED,
    "the event loop is stuck": ("503 stuck", "503 stuck", "503 stuck", "503 stuck"),
    "stopping, still serving": ("200 alive", "503 not_ready", "200 started", "200 healthy"),
    "started while the database is down": ("200 alive", "503 not_ready", "503 not_started", "503 unhealthy"),
}
POLICIES = "version: 1\ndatabases: {app: {url: '${OPS_DATABASE_URL}', vacuum: {tables: all}}}"
DAGSTER = """
CREATE TABLE daemon_heartbeats (daemon_type text, timestamp timestamp, daemon_id text);
INSERT INTO daemon_heartbeats VALUES ('SCHEDULER', now() + interval '1 day', 'a');
CREATE TABLE instigators (
  selector_id text, status text, instigator_type text, instigator_body text, create_timestamp timestamp,
  update_timestamp timestamp
);
INSERT INTO instigators VALUES (
  's', 'DECLARED_IN_CODE', 'SCHEDULE', '{"origin": {"job_name": "nightly_app"}}', now(), now()
);
CREATE TABLE job_ticks (selector_id text, status text, timestamp timestamp, tick_body text);
"""
"""What the checks read of Dagster's tables."""
NIGHT = """
INSERT INTO ops.maintenance_runs (policy, started_at, finished_at, outcome, stopped_reason, rows_remaining)
VALUES ('app/vacuum', now(), now(), 'done', 'completed', 0);
INSERT INTO ops.loaded_policies (program, host, fingerprint, seen_at)
VALUES ('code location', 'here', %(fingerprint)s, now() + interval '1 hour')
"""
observed: dict[str, Answers] = {}
"""The observed answers, for the page."""


@dataclass
class World:
    """An API and its dependencies, each of which can be made to fail."""

    api: Api
    database: Outage
    neighbors: dict[str, "Neighbor"]
    policies: Path
    authorization: dict[str, str]

    def found(self, situation: str, seconds: float = 15) -> None:
        """Waits until every tier answers as expected in that situation, and records the answers."""

        def answers_as_expected() -> bool:
            observed[situation] = tiers(self.api)
            return observed[situation] == SITUATIONS[situation]

        self.api.until(answers_as_expected, seconds)


def _policies(folder: Path) -> Path:
    file = folder / "policies.yaml"
    file.write_text(POLICIES)
    return file


def tiers(api: Api) -> Answers:
    answers = [api.get(f"/health/{tier}") for tier in TIERS]
    return tuple(f"{answer.status_code} {answer.json()['status']}" for answer in answers)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("health")
    with Outage.of_its_own(folder / "postgres") as outage:
        migrate(outage.direct)
        with connect(outage.direct, "test") as connection:
            premake(connection, named(connection, "audit_logs"))
            key = keys.create(connection, "auditor", ["audit:read"]).key
            (database,) = kinds.load(_policies(folder)).databases
            for statement in NIGHT.split(";"):
                connection.execute(statement, {"fingerprint": database.fingerprint})
        with connect(outage.server.url("dagster"), "test") as dagster:
            dagster.execute(DAGSTER)
        neighbors = {name: Neighbor() for name in ("cache", "externalApi")}
        cache, external = (each.port for each in neighbors.values())
        api = Api.start(
            folder,
            outage.url,
            faults=True,
            FAULT_SLOWLY="1",
            OPS_DAGSTER_DATABASE_URL=outage.server.url("dagster"),
            OPS_CACHE_URL=f"redis://127.0.0.1:{cache}",
            OPS_EXTERNAL_API_URL=f"http://127.0.0.1:{external}/",
            OPS_PRESTOP_DELAY_SECONDS="10",
        )
        yield World(
            api,
            outage,
            neighbors,
            policies=folder / "policies.yaml",
            authorization={"Authorization": f"Bearer {key}"},
        )
        if api.popen.poll() is None:
            api.popen.kill()
            api.popen.wait()


class Neighbor:
    """Answers well enough for Redis' handshake and PING, and for an HTTP GET, while it is up."""

    def __init__(self) -> None:
        self.port = 0
        self._clients: list[socket.socket] = []
        self.come_up()

    def come_up(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", self.port))
        self.port = int(self._listening.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def go_down(self) -> None:
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
def without_schema(world: World) -> Iterator[None]:
    with psycopg.connect(world.database.direct, autocommit=True) as session:
        session.execute("ALTER TABLE audit_logs RENAME TO hidden")
        try:
            yield
        finally:
            session.execute("ALTER TABLE hidden RENAME TO audit_logs")


@contextmanager
def all_connections_busy(world: World) -> Iterator[None]:
    """More endless readers than the pool has connections."""
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            world.api.get("/api/admin/audit-logs", headers=world.authorization)

    readers = [threading.Thread(target=read) for _ in range(30)]
    with psycopg.connect(world.database.direct) as session:
        session.execute("LOCK TABLE audit_logs")
        for reader in readers:
            reader.start()
        try:
            yield
        finally:
            over.set()
    for reader in readers:
        reader.join()


@contextmanager
def silent_scheduler(world: World) -> Iterator[None]:
    with psycopg.connect(world.database.server.url("dagster"), autocommit=True) as session:
        session.execute("UPDATE daemon_heartbeats SET timestamp = timestamp - interval '2 days'")
        try:
            yield
        finally:
            session.execute("UPDATE daemon_heartbeats SET timestamp = timestamp + interval '2 days'")


@contextmanager
def schedule_off(world: World) -> Iterator[None]:
    with psycopg.connect(world.database.server.url("dagster"), autocommit=True) as session:
        session.execute("UPDATE instigators SET status = 'STOPPED'")
        try:
            yield
        finally:
            session.execute("UPDATE instigators SET status = 'DECLARED_IN_CODE'")


@contextmanager
def broken_policies(world: World) -> Iterator[None]:
    good = world.policies.read_text()
    world.policies.write_text(good.replace("vacuum", "vaccum"))
    try:
        yield
    finally:
        world.policies.write_text(good)


@contextmanager
def missed_run(world: World) -> Iterator[None]:
    with psycopg.connect(world.database.direct, autocommit=True) as session:
        session.execute("UPDATE ops.maintenance_runs SET finished_at = finished_at - interval '9 days'")
        try:
            yield
        finally:
            session.execute("UPDATE ops.maintenance_runs SET finished_at = finished_at + interval '9 days'")


FAULTS: dict[str, Callable[[World], AbstractContextManager[None]]] = {
    "the database refuses connections": lambda world: world.database.refusing(),
    "the database is frozen": lambda world: world.database.frozen(),
    "the network to the database swallows every packet": lambda world: world.database.black_holed(),
    "our tables are missing": without_schema,
}
LATE = {
    "requests wait for a connection": all_connections_busy,
    "Dagster's scheduler is silent": silent_scheduler,
    "a schedule is off": schedule_off,
    "policies.yaml is broken": broken_policies,
    "a policy missed its scheduled run": missed_run,
}
NEIGHBORS = {"the cache is down": "cache", "the external API is down": "externalApi"}


@pytest.mark.parametrize("situation", FAULTS)
def test_without_its_database_it_is_alive_and_recovers_by_itself(world: World, situation: str) -> None:
    world.found("everything works")

    with FAULTS[situation](world):
        world.found(situation)
        began = time.monotonic()
        answer = world.api.get("/api/admin/audit-logs", headers=world.authorization)
        assert answer.status_code == 503, answer.text
        assert "Retry-After" in answer.headers
        assert time.monotonic() - began < 25, "no request hangs longer than its timeout"

    world.api.until(lambda: world.api.status("/health/ready") == 200, seconds=RECOVERY_SECONDS)
    answer = world.api.get("/api/admin/audit-logs", headers=world.authorization)
    assert answer.status_code == 200, "ready means that requests are answered"


@pytest.mark.parametrize("situation", LATE)
def test_delays_and_missed_runs_only_degrade_the_status(world: World, situation: str) -> None:
    world.found("everything works")

    with LATE[situation](world):
        world.found(situation)


def test_while_the_event_loop_is_blocked_a_thread_answers_for_it(world: World) -> None:
    world.found("everything works")
    blocking = threading.Thread(target=world.api.get, args=("/fault/block?seconds=9",))
    blocking.start()
    time.sleep(0.5)

    world.found("the event loop is stuck")
    answer = world.api.get("/health/live")
    assert answer.json() == {"status": "stuck"}
    assert answer.headers["x-request-id"]

    blocking.join()
    world.found("everything works")


@pytest.mark.parametrize("situation", NEIGHBORS)
def test_without_a_noncritical_dependency_it_is_ready_and_degraded(world: World, situation: str) -> None:
    world.found("everything works")
    neighbor = NEIGHBORS[situation]

    world.neighbors[neighbor].go_down()

    world.found(situation)
    assert world.api.status(f"/health/full/{neighbor}") == 503
    assert world.api.get(f"/health/full?exclude={neighbor}").json()["status"] == "healthy"
    world.neighbors[neighbor].come_up()
    world.found("everything works")


def test_once_it_is_asked_to_stop_it_is_no_longer_ready(world: World) -> None:
    with httpx.Client() as kept:
        kept.get(f"{world.api.address}/health/live")
        world.api.popen.send_signal(signal.SIGTERM)

        world.found("stopping, still serving", seconds=9)
        assert kept.get(f"{world.api.address}/health/live").headers["connection"] == "close"
    assert world.api.popen.wait(timeout=30) == 0


def test_it_starts_without_its_database(tmp_path: Path) -> None:
    api = Api.start(tmp_path, "postgresql://me:hidden@127.0.0.1:1/app")

    observed["started while the database is down"] = tiers(api)

    assert api.stop() == 0
    assert observed["started while the database is down"] == SITUATIONS["started while the database is down"]


def test_the_page_shows_the_observed_answers() -> None:
    if observed.keys() != SITUATIONS.keys():
        pytest.skip("not every situation was looked at in this run")
    rows = [f"| {situation} | {' | '.join(observed[situation])} |" for situation in SITUATIONS]
    columns = [f"| situation | {' | '.join(TIERS)} |", "|---" * (len(TIERS) + 1) + "|"]
    table = "\n".join([*columns, *rows]) + "\n"
    before, begin, rest = PAGE.read_text().partition("<!-- what the tiers answer -->\n")
    _, end, after = rest.partition("<!-- end -->\n")
    assert end, "the page has lost the marks around its table"
    if os.environ.get("WRITE_DOCS"):
        PAGE.write_text(before + begin + table + end + after)

    assert begin + table + end in PAGE.read_text()

"""Transaction pooling is refused, and none of our settings are left in its sessions."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path

import psycopg
import pytest
from litestar.testing import TestClient
from psycopg import conninfo

from api.app import create_app, observed
from api.health.connection import HealthConnection, ask
from ops_pipeline.access import keys
from ops_pipeline.archive.arrow_session import ArrowSession
from ops_pipeline.postgres import embedded, pooler
from ops_pipeline.postgres.connection import DatabaseRefusedError, DatabaseUnavailableError, connect, scalar
from ops_pipeline.postgres.migrations import migrate
from ops_pipeline.settings import Settings
from tests.eventually import eventually

PGBOUNCER = Path("/usr/sbin/pgbouncer")
SETTINGS = """
SELECT (SELECT jsonb_object_agg(name, setting) FROM pg_settings WHERE source = 'session'),
       current_user,
       (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'),
       (SELECT count(*) FROM pg_prepared_statements)
"""
Pooled = Callable[..., str]

pytestmark = pytest.mark.skipif(
    not PGBOUNCER.exists(), reason=f"{PGBOUNCER} is not installed: apt-get install pgbouncer"
)


@pytest.fixture
def pooled(url: str, tmp_path: Path) -> Iterator[Pooled]:
    """Starts a PgBouncer in front of the migrated database and returns its URL."""
    with ExitStack() as running:

        def start(mode: str, **settings: int) -> str:
            return running.enter_context(_pgbouncer(url, tmp_path / mode, mode, settings))

        yield start


@contextmanager
def _pgbouncer(url: str, folder: Path, mode: str, settings: dict[str, int]) -> Iterator[str]:
    folder.mkdir()
    port = embedded.free_port()
    lines = {"listen_addr": "127.0.0.1", "listen_port": port, "unix_socket_dir": "", "auth_type": "any"}
    lines |= {"pool_mode": mode, "default_pool_size": 20, **settings}
    configuration = folder / "pgbouncer.ini"
    entry = f"[databases]\napp = {_as_pairs(url)}\n[pgbouncer]\n"
    configuration.write_text(entry + "".join(f"{name} = {value}\n" for name, value in lines.items()))
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [*embedded.without_root(), str(PGBOUNCER), str(configuration)], stdout=log, stderr=log
        )
    through = f"postgresql://anyone@127.0.0.1:{port}/app"
    try:
        _until_it_answers(process, through, folder / "log")
        yield through
    finally:
        process.terminate()
        process.wait(timeout=30)


def _as_pairs(url: str) -> str:
    given = conninfo.conninfo_to_dict(url)
    return " ".join(f"{name}={given[name]}" for name in ("host", "port", "dbname", "user", "password"))


def _until_it_answers(process: "subprocess.Popen[bytes]", through: str, log: Path) -> None:
    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        with suppress(psycopg.OperationalError):
            psycopg.connect(through).close()
            return True
        return False

    eventually(answers, otherwise=log.read_text)


@contextmanager
def _application(through: str, clients: int) -> Iterator[None]:
    """That number of the application's clients, active until the end of the block."""
    ended = threading.Event()

    def work() -> None:
        with psycopg.connect(through, autocommit=True, prepare_threshold=None) as client:
            while not ended.is_set():
                client.execute("SELECT pg_sleep(0.001)")

    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def _left_behind(through: str) -> set[str]:
    """The settings of all of the pooler's sessions with the server, read at the same time."""
    with ExitStack() as stack:
        clients = [stack.enter_context(psycopg.connect(through)) for _ in range(8)]
        # An open transaction keeps each session from being lent to the next client.
        return {str(client.execute(SETTINGS).fetchone()) for client in clients}


@pytest.mark.parametrize("clients", [0, 1, 12])
@pytest.mark.parametrize("round_robin", [0, 1])
@pytest.mark.parametrize("mode", ["transaction", "statement"])
def test_a_pooler_not_in_session_mode_is_refused_and_keeps_no_setting_of_ours(
    pooled: Pooled, mode: str, round_robin: int, clients: int
) -> None:
    through = pooled(mode, server_round_robin=round_robin)
    before = _left_behind(through) if mode == "transaction" else set()

    with _application(through, clients):
        for _ in range(3):
            with pytest.raises(DatabaseRefusedError, match="pool_mode = session") as refused:
                connect(through, "test")

    assert "Nothing was changed" in str(refused.value)
    if mode == "transaction":
        assert _left_behind(through) == before


@pytest.mark.parametrize("idle", [1, 2, 3, 7])
@pytest.mark.parametrize("round_robin", [0, 1])
def test_it_is_refused_whatever_number_of_sessions_the_idle_pool_has(
    pooled: Pooled, round_robin: int, idle: int
) -> None:
    through = pooled("transaction", server_round_robin=round_robin)
    with ExitStack() as stack:
        for client in [stack.enter_context(psycopg.connect(through)) for _ in range(idle)]:
            client.execute("SELECT 1")  # each in a transaction, so each has a session of its own

    with pytest.raises(DatabaseRefusedError):
        connect(through, "test")


def test_session_mode_is_accepted_by_everything(pooled: Pooled) -> None:
    through = pooled("session")
    assert migrate(through) == []
    with connect(through, "test") as session, ArrowSession(through, "policy", "test") as worker:
        assert scalar(session, "SHOW row_security") == "off"
        assert worker.pid != scalar(session, "SELECT pg_backend_pid()")
        headers = {"Authorization": f"Bearer {keys.create(session, 'test', ['admin']).key}"}
        with TestClient(observed(create_app(Settings(database_url=through)))) as client:
            assert client.post("/api/audit-logs", json={"eventType": "a"}, headers=headers).status_code == 201
            assert client.get("/health/ready").status_code == 200


def test_a_pool_with_one_session_is_too_small_and_says_so(
    pooled: Pooled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pooler, "WAIT_SECONDS", 1.0)

    with pytest.raises(DatabaseUnavailableError, match="raise its pool_size"):
        connect(pooled("session", default_pool_size=1), "test")


def test_a_direct_connection_is_checked_once(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = count(1)
    lends = pooler.lends_by_transaction

    def counting(open_client: Callable[[], pooler.Client]) -> bool:
        next(counted)
        return lends(open_client)

    monkeypatch.setattr(pooler, "lends_by_transaction", counting)
    for _ in range(3):
        connect(url, "test").close()

    assert next(counted) == 2


def test_health_checks_set_nothing_through_transaction_pooling_and_say_why(pooled: Pooled) -> None:
    through = pooled("transaction")
    before = _left_behind(through)

    async def kept() -> None:
        await HealthConnection(through).rows("SELECT 1")

    async def asked() -> None:
        await ask(through, "SELECT 1")

    for look in (kept, asked):
        with pytest.raises(psycopg.OperationalError, match="pool_mode = session"):
            asyncio.run(look())
    with TestClient(observed(create_app(Settings(database_url=through)))) as client:
        assert client.get("/health/ready").status_code == 503

    assert _left_behind(through) == before


@pytest.mark.parametrize(
    "command", ["migrate", "plan", "run", "hold list", "archive verify", "keys list", "api"]
)
def test_no_program_works_through_transaction_pooling(pooled: Pooled, tmp_path: Path, command: str) -> None:
    through = pooled("transaction")
    before = _left_behind(through)
    (tmp_path / "policies.yaml").write_text(
        "version: 1\ndatabases: {app: {url: '${OPS_DATABASE_URL}', vacuum: {tables: all}}}"
    )
    program = ["-m", "api"] if command == "api" else ["-c", "from ops_pipeline.cli import main; main()"]
    done = subprocess.run(
        [sys.executable, *program, *([] if command == "api" else command.split())],
        cwd=tmp_path,
        env=os.environ | {"OPS_DATABASE_URL": through, "OPS_ARCHIVE_URL": str(tmp_path / "archive")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 1, done.stderr
    assert "pool_mode = session" in done.stderr
    assert _left_behind(through) == before

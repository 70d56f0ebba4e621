"""A server with prepared transactions, logical decoding and standbys, which the shared one lacks."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql as compose

from ops_pipeline.maintenance.vacuum.policy import Vacuum
from ops_pipeline.policies.model import Database
from ops_pipeline.postgres import embedded
from ops_pipeline.postgres.connection import Connection, connect
from ops_pipeline.postgres.migrations import migrate
from tests.other_postgresql import program

ALL = "version: 1\ndatabases:\n  app:\n    url: ${OPS_DATABASE_URL}\n    vacuum: {tables: all}\n"


@pytest.fixture
def everything(read: Callable[..., Database]) -> Vacuum:
    """A policy for all tables that need VACUUM."""
    (policy,) = read(ALL).policies
    assert isinstance(policy, Vacuum)
    return policy


@pytest.fixture
def locked(url: str) -> Iterator[Callable[[str], None]]:
    """Makes another session hold an exclusive lock until the end of the test."""
    with psycopg.connect(url) as other:

        def lock(table: str) -> None:
            statement = compose.SQL("LOCK TABLE {}").format(compose.Identifier(table))
            other.execute(statement)

        yield lock


@pytest.fixture(scope="module")
def primary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[embedded.Server]:
    folder = tmp_path_factory.mktemp("primary")
    with embedded.running(folder) as server, psycopg.connect(server.url("app"), autocommit=True) as session:
        for setting in ("max_prepared_transactions = 5", "wal_level = 'logical'", "autovacuum = off"):
            session.execute(f"ALTER SYSTEM SET {setting}")
    with embedded.running(folder) as server:
        migrate(server.url("app"))
        yield server


@pytest.fixture
def on_primary(primary: embedded.Server) -> Iterator[Connection]:
    """A connection to a table `items` of 1,000 rows on that server, all of them dead."""
    with connect(primary.url("app"), "test", lock_timeout="500ms") as session:
        session.execute("DROP TABLE IF EXISTS items; CREATE TABLE items (n int)")
        session.execute("INSERT INTO items SELECT generate_series(1, 1000)")
        yield session


Standby = Callable[[str], AbstractContextManager[embedded.Server]]


@pytest.fixture
def standby(primary: embedded.Server, tmp_path: Path) -> Standby:
    """Starts a standby of that server with hot_standby_feedback, and with a slot if one is named."""

    @contextmanager
    def start(slot: str) -> Iterator[embedded.Server]:
        data = tmp_path / "data"
        copy = [
            program("pg_basebackup"),
            "--dbname",
            primary.url(""),
            "--pgdata",
            str(data),
        ]
        subprocess.run([*copy, "--checkpoint=fast", "--no-sync", "--write-recovery-conf"], check=True)
        with (data / "postgresql.conf").open("a") as configuration:
            configuration.write(
                "hot_standby_feedback = on\nwal_receiver_status_interval = 1s\n"
                f"primary_slot_name = '{slot}'\nmax_standby_streaming_delay = -1\n"
            )
        (tmp_path / "port").write_text(str(primary.port))  # taken, so it finds one of its own
        (tmp_path / "password").write_text(primary.password)
        with embedded.running(tmp_path) as server:
            yield server

    return start

"""A server that has prepared transactions, logical decoding and standbys, which the shared one has not."""

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from ops_pipeline import database, embedded, policy

ALL = "version: 1\ndatabases:\n  app:\n    url: ${OPS_DATABASE_URL}\n    vacuum: {tables: all}\n"


@pytest.fixture
def everything(read: Callable[..., policy.Database]) -> policy.Vacuum:
    """All tables that need it."""
    (rule,) = read(ALL).policies
    assert isinstance(rule, policy.Vacuum)
    return rule


@pytest.fixture(scope="module")
def primary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[embedded.Server]:
    folder = tmp_path_factory.mktemp("primary")
    with embedded.running(folder) as server, psycopg.connect(server.url("app"), autocommit=True) as session:
        for setting in ("max_prepared_transactions = 5", "wal_level = 'logical'", "autovacuum = off"):
            session.execute(f"ALTER SYSTEM SET {setting}")
    with embedded.running(folder) as server:
        database.migrate(server.url("app"))
        yield server


@pytest.fixture
def on_primary(primary: embedded.Server) -> Iterator[database.Connection]:
    """A connection to a table `items` of 1,000 rows on that server, all of them dead."""
    with database.connect(primary.url("app"), "test", lock_timeout="500ms") as session:
        session.execute("DROP TABLE IF EXISTS items; CREATE TABLE items (n int)")
        session.execute("INSERT INTO items SELECT generate_series(1, 1000)")
        yield session


@pytest.fixture
def folder_of_primary(primary: embedded.Server) -> Path:
    with psycopg.connect(primary.url("app")) as session:
        row = session.execute("SHOW data_directory").fetchone()
    assert row is not None
    return Path(row[0])

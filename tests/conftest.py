"""One real server for the whole test run, and a fresh, migrated database for each test that asks for one."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql as compose

from ops_pipeline.postgres import embedded
from ops_pipeline.postgres.connection import Connection, connect
from ops_pipeline.postgres.migrations import migrate
from tests import given_server
from tests.other_postgresql import programs_in

SERVER = os.environ.get("OPS_TEST_DATABASE_URL")
PROGRAMS = os.environ.get("OPS_TEST_POSTGRESQL")
MEMORY_BYTES = 4 * 2**30
CLOUDTRAIL = Path(__file__).parents[2] / "shared" / "data" / "cloudtrail"


def pytest_configure(config: pytest.Config) -> None:
    """Refuses a shared server for several processes of tests: they would make the same names."""
    if SERVER is not None and config.getoption("numprocesses", None):
        raise pytest.UsageError("OPS_TEST_DATABASE_URL is one server: run the tests without --numprocesses")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Removes our settings of this machine's environment."""
    for name in [name for name in os.environ if name.startswith(("OPS_", "DAGSTER_"))]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[embedded.Server]:
    """The server of OPS_TEST_DATABASE_URL, or one of our own.

    Our own server runs the programs of OPS_TEST_POSTGRESQL if that is set. Its files are in memory if there
    is room: on a disk, half of the time goes into creating and dropping databases.
    """
    if SERVER is not None:
        with given_server.given(SERVER) as given:
            yield given
        return
    with ExitStack() as stack:
        if PROGRAMS is not None:
            stack.enter_context(programs_in(Path(PROGRAMS)))
        folder = _in_memory(stack) or tmp_path_factory.mktemp("postgres")
        running = stack.enter_context(embedded.running(folder))
        with psycopg.connect(running.url("postgres"), autocommit=True) as session:
            session.execute(
                "ALTER SYSTEM SET fsync = off"
            )  # no test simulates a power failure on this server
            session.execute("SELECT pg_reload_conf()")
        yield running


def _in_memory(stack: ExitStack) -> Path | None:
    """A temporary folder, in memory if there is room for the files of a server; the stack removes it."""
    memory = Path("/dev/shm")  # noqa: S108 - the server's own folder within it is ours alone
    if not memory.is_dir() or shutil.disk_usage(memory).free < MEMORY_BYTES:
        return None
    return Path(stack.enter_context(TemporaryDirectory(prefix="ops-tests-", dir=memory)))


@pytest.fixture(scope="session")
def template(server: embedded.Server) -> str:
    """A migrated template database."""
    _create(server, "template_ops")
    migrate(server.url("template_ops"))
    return "template_ops"


@pytest.fixture
def new_database(server: embedded.Server) -> Iterator[Callable[..., str]]:
    """Creates empty databases, or copies of a template, and returns their URL."""
    made: list[str] = []

    def make(template: str = "template1") -> str:
        made.append(f"test_{uuid4().hex[:12]}")
        _create(server, made[-1], template)
        return server.url(made[-1])

    yield make
    with psycopg.connect(server.url("postgres"), autocommit=True) as session:
        for name in made:
            session.execute(compose.SQL("DROP DATABASE {} WITH (FORCE)").format(compose.Identifier(name)))


@pytest.fixture
def url(new_database: Callable[..., str], template: str) -> str:
    """A migrated database without any rows."""
    return new_database(template)


@pytest.fixture
def connection(url: str) -> Iterator[Connection]:
    with connect(url, "test") as session:
        yield session


@pytest.fixture(scope="session")
def cloudtrail() -> Path:
    """The folder with real CloudTrail deliveries."""
    if not CLOUDTRAIL.is_dir():
        pytest.skip(f"the real CloudTrail events are not at {CLOUDTRAIL}")
    return CLOUDTRAIL


def _create(server: embedded.Server, name: str, template: str = "template1") -> None:
    with psycopg.connect(server.url("postgres"), autocommit=True) as session:
        session.execute(
            compose.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
                compose.Identifier(name), compose.Identifier(template)
            )
        )

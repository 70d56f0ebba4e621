"""One real server for the whole run; a fresh, migrated database for each test that asks for one."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql as compose

from ops_pipeline.postgres import embedded
from ops_pipeline.postgres.connection import Connection, connect
from ops_pipeline.postgres.migrations import migrate

CLOUDTRAIL = Path(__file__).parents[2] / "shared" / "data" / "cloudtrail"


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """What this machine's environment says is not the test's business."""
    for name in [name for name in os.environ if name.startswith(("OPS_", "DAGSTER_"))]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[embedded.Server]:
    with embedded.running(tmp_path_factory.mktemp("postgres")) as running:
        with psycopg.connect(running.url("postgres"), autocommit=True) as session:
            # No test cuts the power, and making and dropping databases was half of the time.
            session.execute("ALTER SYSTEM SET fsync = off")
            session.execute("SELECT pg_reload_conf()")
        yield running


@pytest.fixture(scope="session")
def template(server: embedded.Server) -> str:
    """A migrated database for others to be copied from."""
    _create(server, "template_ops")
    migrate(server.url("template_ops"))
    return "template_ops"


@pytest.fixture
def new_database(server: embedded.Server) -> Iterator[Callable[..., str]]:
    """Makes empty databases, or copies of a template, and says their URL."""
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

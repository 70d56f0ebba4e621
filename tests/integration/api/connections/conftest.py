"""APIs as processes over one database, each with different limits."""

from collections.abc import Iterator
from contextlib import ExitStack
from uuid import uuid4

import pytest

from ops_pipeline.access import keys
from ops_pipeline.postgres import embedded
from ops_pipeline.postgres.connection import connect
from tests.integration.api.connections.clients import Start
from tests.integration.api.process import Api


@pytest.fixture(scope="package")
def url(server: embedded.Server, template: str) -> str:
    """One database for all tests, because starting a process takes longer than the test."""
    # A name of its own: in some orders of files pytest leaves the package and comes back.
    name = f"connections_{uuid4().hex[:8]}"
    with connect(server.url("postgres"), "test") as session:
        session.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    return server.url(name)


@pytest.fixture(scope="package")
def start(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Starts an API; `deadlines` are the limits for clients, in seconds."""
    with ExitStack() as stack:

        def begin(*, deadlines: str = "", open_files: int | None = None) -> Api:
            folder = tmp_path_factory.mktemp("api")
            running = Api.start(
                folder, url, faults=bool(deadlines), open_files=open_files, FAULT_DEADLINES=deadlines
            )
            stack.callback(running.popen.wait)
            stack.callback(running.popen.kill)
            return running

        yield begin


@pytest.fixture(scope="package")
def api(start: Start) -> Api:
    return start()


@pytest.fixture(scope="package")
def hasty(start: Start) -> Api:
    """An API whose clients have 1.5 seconds instead of 10 or 60."""
    return start(deadlines="1.5")


@pytest.fixture(scope="package")
def narrow(start: Start) -> Api:
    """An API with 64 connections."""
    return start(open_files=224, deadlines="60")


@pytest.fixture(scope="package")
def authorization(url: str) -> bytes:
    return _authorization(url, "test")


@pytest.fixture(scope="package")
def other_authorization(url: str) -> bytes:
    """That of another key."""
    return _authorization(url, "other")


def _authorization(url: str, name: str) -> bytes:
    with connect(url, "test") as session:
        key = keys.create(session, name, ["admin"]).key
    return f"Authorization: Bearer {key}\r\n".encode()

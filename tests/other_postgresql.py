"""Starts a server of another PostgreSQL version, for what differs between versions."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from ops_pipeline.postgres import embedded
from ops_pipeline.postgres.connection import Connection, connect
from ops_pipeline.postgres.migrations import migrate


@contextmanager
def programs_in(folder: Path) -> Iterator[None]:
    """Makes every server started in the block run PostgreSQL's programs from that folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedded, "LOCALE", ("--locale", "C.UTF-8"))  # the builtin provider came with 17
        patch.setattr(embedded, "_program", lambda name: str(folder / name))
        yield


def program(name: str) -> str:
    """That program of the PostgreSQL that is tested; skips the test where its package does not have it."""
    path = embedded._program(name)  # noqa: SLF001 - the tests' servers run the same ones
    if not Path(path).exists():
        pytest.skip(f"this PostgreSQL comes without {name} ({path})")
    return path


@contextmanager
def migrated_database(programs: Path, folder: Path) -> Iterator[Connection]:
    """A migrated database on a server with these programs and its data in the folder."""
    with programs_in(programs), embedded.running(folder) as server:
        with psycopg.connect(server.url("postgres"), autocommit=True) as session:
            session.execute("DROP DATABASE IF EXISTS app")
            session.execute("CREATE DATABASE app")
        migrate(server.url("app"))
        with connect(server.url("app"), "test") as session:
            yield session

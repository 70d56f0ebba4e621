"""Runs PostgreSQL 15 from Debian's packages, for contenders that are extensions."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg

from ops_pipeline.postgres import embedded

HOME = Path("/usr/lib/postgresql/15/bin")
PARTMAN = Path("/usr/share/postgresql/15/extension/pg_partman.control")
START_SECONDS = 30


def has_partman() -> bool:
    """Whether the packages postgresql-15 and postgresql-15-partman are installed."""
    return (HOME / "postgres").exists() and PARTMAN.exists()


@contextmanager
def running(folder: Path) -> Iterator[embedded.Server]:
    """A server of that version with our usual configuration, its data in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    data, password = folder / "data", "benchmarks-only"
    if not (data / "PG_VERSION").exists():
        (folder / "password").write_text(password)
        subprocess.run(
            [*embedded.without_root(), str(HOME / "initdb"), "--pgdata", str(data), "--no-sync",
             "--username", embedded.SUPERUSER, "--pwfile", str(folder / "password"),
             "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C"],
            check=True, capture_output=True,
        )  # fmt: skip
        with (data / "postgresql.conf").open("a") as configuration:
            configuration.write(embedded.CONFIGURATION)
    server = embedded.Server(embedded.free_port(), password)
    command = [*embedded.without_root(), str(HOME / "postgres"), "-D", str(data), "-p", str(server.port)]
    with (folder / "server.log").open("a") as log, subprocess.Popen(command, stderr=log) as process:
        try:
            _wait_for(server)
            yield server
        finally:
            process.terminate()  # a smart shutdown: it waits for sessions to end, and all have ended


def _wait_for(server: embedded.Server) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
                with suppress(psycopg.errors.DuplicateDatabase):
                    connection.execute("CREATE DATABASE app")
                return
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)

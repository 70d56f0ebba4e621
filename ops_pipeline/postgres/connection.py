"""Connects to a maintained database, sets its session up, and refuses databases that cannot be used."""

import re
import shlex
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, LiteralString, Self, cast

import psycopg
from psycopg import conninfo
from psycopg import sql as compose
from psycopg.abc import AdaptContext

from ops_pipeline import credentials
from ops_pipeline.postgres import pooler
from ops_pipeline.postgres.session import preparation

Connection = psycopg.Connection[tuple[Any, ...]]


class _OurConnection(psycopg.Connection[tuple[Any, ...]]):
    """`database`: see `database_of`."""

    database: str | None = None


Place = tuple[str, int, str, str]
"""A database and login: host, port, database name and user."""


Statement = LiteralString | compose.SQL | compose.Composed


CANCEL_TIMEOUT_SECONDS = 2.0


SERVER = re.compile(r"^connection to server .*? failed: ")
"""How libpq's message begins; ours has named the server by then."""


LOST_STATES = {
    "57P01",  # admin_shutdown: the server stops, or an administrator ended the session
    "57P02",  # crash_shutdown
    "57P03",  # cannot_connect_now: the server starts or recovers
}
"""SQLSTATEs with which the server has ended the session; the work can continue in a new one."""


class Cursor(psycopg.Cursor[tuple[Any, ...]]):
    """A cursor that allows names and literals with a percent sign in statements with values.

    psycopg treats each `%` of such a statement as the start of a placeholder, even in a column's name.
    """

    def execute(self, query: Any, params: Any = None, **how: Any) -> Self:
        if params is not None and isinstance(query, compose.Composed):
            query = _with_doubled_percents(query, self)
        return super().execute(query, params, **how)


def _with_doubled_percents(statement: compose.Composed, context: AdaptContext) -> compose.Composed:
    def doubled(part: compose.Composable) -> compose.Composable:
        match part:
            case compose.Composed():
                return _with_doubled_percents(part, context)
            case compose.SQL() | compose.Placeholder():
                return part
            case _:
                return compose.SQL(part.as_string(context).replace("%", "%%"))

    return compose.Composed([doubled(part) for part in statement])


UNREADABLE_ENCODINGS = {"SQL_ASCII", "MULE_INTERNAL"}
"""Text in these encodings cannot be converted to UTF-8: the meaning of SQL_ASCII's bytes is unknown, and
PostgreSQL has no conversion from MULE_INTERNAL."""


class DatabaseUnavailableError(Exception):
    """The database cannot be used now; the message names the database and the error."""


class NoConnectionError(DatabaseUnavailableError):
    """The server was not reached, or it refused the login or the database's name."""


class DatabaseRefusedError(DatabaseUnavailableError):
    """The database answers, but cannot be used in its current state. Nothing was done; the message says
    why."""


class EncodingRefusedError(DatabaseRefusedError):
    """The database's encoding is SQL_ASCII or MULE_INTERNAL."""


class PoolerRefusedError(DatabaseRefusedError):
    """The connection goes through a pooler in transaction mode."""


def connect(
    url: str,
    application_name: str,
    *,
    database: str | None = None,
    lock_timeout: str = "2s",
    statement_timeout: str = "0",
    connect_timeout: int = 5,
) -> Connection:
    """An autocommit connection whose session is set up for maintenance.

    Settings that change how values are read or written are pinned (see `preparation`). Where row security
    would hide rows, PostgreSQL raises InsufficientPrivilege. With `lock_timeout`, our statements fail instead
    of making the application's statements queue behind them; it and `statement_timeout` are PostgreSQL
    durations ("2s"), "0" for none. `connect_timeout` is in seconds. `database`: its name in policies.yaml,
    see `database_of`. Raises DatabaseUnavailableError when no connection can be made, and its subclass
    DatabaseRefusedError.
    """
    connection = _connected(url, connect_timeout)
    connection.database = database
    try:
        refuse_unusable(url, connection.info)
        connection.execute(
            *preparation(application_name, lock_timeout=lock_timeout, statement_timeout=statement_timeout)
        )
    except psycopg.errors.InsufficientPrivilege as error:
        user, name = (
            compose.Identifier(part).as_string() for part in (connection.info.user, connection.info.dbname)
        )
        connection.close()
        raise DatabaseRefusedError(
            f"{describe(url)} sets session_replication_role for Ops Pipeline's sessions, which disables "
            f"foreign keys and triggers, and its user is not permitted to reset it ({error}). As a "
            f"superuser, run the one that applies: ALTER ROLE {user} RESET session_replication_role; or "
            f"ALTER DATABASE {name} RESET session_replication_role;"
        ) from error
    except BaseException:
        connection.close()
        raise
    return connection


def connect_bare(url: str, *, connect_timeout: int = 5) -> Connection:
    """An autocommit connection whose session is not set up; not for maintained databases.

    Not even application_name is set: a pooler would leave it in a session that the application gets. Raises
    DatabaseUnavailableError.
    """
    return _connected(url, connect_timeout)


def _connected(url: str, connect_timeout: int) -> _OurConnection:
    try:
        connection = _OurConnection.connect(
            credentials.with_password(url),
            autocommit=True,
            connect_timeout=connect_timeout,
            cursor_factory=Cursor,
        )
    except credentials.PasswordError as error:
        raise NoConnectionError(f"{describe(url)}: no connection was made, because its {error}") from error
    except psycopg.OperationalError as error:
        if _looks_unescaped(url):
            raise NoConnectionError(
                "the database's URL is ambiguous: its user or password contains @, / or #. "
                "Write %40 for @, %2F for /, %23 for #, %3A for : and %25 for %"
            ) from None  # libpq's message contains a part of the password
        raise NoConnectionError(no_connection(url, error)) from error
    if url != credentials.without_source(url):
        _urls[_place(connection.info)] = url
    return connection


def no_connection(url: str, error: Exception) -> str:
    """That no connection was made, and the reason of libpq or of the server, on one line."""
    lines = str(error).removeprefix("connection failed: ").splitlines()
    reasons = [line for line in lines if not line.startswith("\t")]  # libpq indents its guesses
    if len(reasons) == 1:
        reasons = [SERVER.sub("", reasons[0])]
    return f"{describe(url)}: no connection was made: {'; '.join(reasons)}"


def _looks_unescaped(url: str) -> bool:
    """Whether the password contains a character that ends it, so that libpq takes its rest for a host."""
    rest = url.partition("://")[2].partition("?")[0]
    return rest.count("@") > 1 or "@" in rest.partition("/")[2]


def refuse_unusable(url: str, info: psycopg.ConnectionInfo) -> None:
    """Checks every new session before anything is set in it; `info` is the session's.

    The check for a pooler is done once for each place and process, with two more connections. Raises
    DatabaseRefusedError, and DatabaseUnavailableError when the check fails.
    """
    encoding = info.parameter_status("server_encoding")
    if encoding in UNREADABLE_ENCODINGS:
        raise EncodingRefusedError(
            f"{describe(url)} is refused: its encoding is {encoding}, in which the meaning of bytes is "
            "unknown, so events and archived rows could not be read again. Nothing was changed. Copy it to "
            f"a database in UTF8; replace LATIN1 with the encoding of its text: {copy_to_utf8(info.dbname)}"
        )
    place = _place(info)
    with _checking:
        if place not in _without_transaction_pooler:
            _refuse_transaction_pooler(url)
            _without_transaction_pooler.add(place)


def copy_to_utf8(database: str, encoding: str = "LATIN1") -> str:
    """The commands that copy a database whose text is in that encoding into a new one in UTF8."""
    source, target = shlex.quote(database), shlex.quote(f"{database}_utf8")
    return f"createdb -T template0 -E UTF8 {target} && pg_dump -E {encoding} {source} | psql {target}"


def _place(info: psycopg.ConnectionInfo) -> Place:
    return (info.host, info.port, info.dbname, info.user)


_urls: dict[Place, str] = {}
"""The URLs of places whose password is read for each connection, because the last one may have expired."""


_checking = threading.Lock()


_without_transaction_pooler: set[Place] = set()


def _refuse_transaction_pooler(url: str) -> None:
    try:
        lends = pooler.lends_by_transaction(lambda: connect_bare(url))
    except psycopg.Error as error:
        raise DatabaseUnavailableError(
            f"{describe(url)} opened no second session within {pooler.WAIT_SECONDS:.0f} seconds, and several "
            f"are required: {error}. Nothing was changed. If there is a pooler in between, raise its "
            f"pool_size"
        ) from error
    if lends:
        raise PoolerRefusedError(
            f"{describe(url)} is refused: the connection goes through a pooler in transaction mode, such as "
            "PgBouncer with pool_mode = transaction. Ops Pipeline's role, settings and locks would leak "
            "into sessions of the application. Nothing was changed. Set the URL to the address of the "
            "PostgreSQL server itself, or to an entry of the pooler with pool_mode = session "
            "(docs/deploy.md, Connection poolers)"
        )


def connection_was_lost(error: BaseException) -> bool:
    """Whether the error means that the session was lost, so that a retry in a new one may succeed."""
    if isinstance(error, DatabaseUnavailableError):
        return not isinstance(error, DatabaseRefusedError)
    if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
        return True  # the server has become a standby; psycopg has it as an internal error
    if not isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return False
    # An error without SQLSTATE is libpq's own: the socket is closed.
    return error.sqlstate is None or error.sqlstate in LOST_STATES or error.sqlstate.startswith("08")


def url_of(connection: Connection | psycopg.AsyncConnection[Any]) -> str:
    """The URL for another connection like this one, with the password or its source."""
    if (url := _urls.get(_place(connection.info))) is not None:
        return url
    parameters = connection.info.get_parameters()
    return conninfo.make_conninfo(**parameters | {"password": connection.info.password})


def database_of(connection: Connection) -> str | None:
    """The database's name in policies.yaml, for the commands of messages; None: it was reached by a URL
    alone, or this is a connection of the application."""
    return connection.database if isinstance(connection, _OurConnection) else None


def describe(url: str) -> str:
    """The database of a URL as text, without its password."""
    try:
        parts = conninfo.conninfo_to_dict(credentials.without_source(url))
    except psycopg.ProgrammingError:
        return "The database (its URL is invalid)"
    host, port = parts.get("host", "local socket"), parts.get("port", 5432)
    return f"Database {parts.get('dbname', '')!r} at {host}:{port}"


def scalar(connection: Connection, statement: Statement, values: Any = None) -> Any:
    """The single value that a statement returns."""
    return row(connection, statement, values)[0]


def row(connection: Connection, statement: Statement, values: Any = None) -> tuple[Any, ...]:
    """The single row that a statement returns."""
    return cast("tuple[Any, ...]", connection.execute(statement, values).fetchone())


@contextmanager
def cancel_on_interrupt(connection: Connection) -> Iterator[None]:
    """Cancels the running statement on the server when this process is interrupted.

    Interrupts (Ctrl-C, Dagster's terminate) are not subclasses of `Exception`: psycopg would close the socket
    while the server continues. So the statement is canceled first, then the interrupt is raised again.
    """
    try:
        yield
    except Exception:
        raise
    except BaseException:
        if not connection.closed:
            connection.cancel_safe(timeout=CANCEL_TIMEOUT_SECONDS)
        raise

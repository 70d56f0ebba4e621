"""A connection to the database that is looked after: timeouts, interrupts, locks, migrations."""

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


Place = tuple[str, int, str, str]
"""A database as this process knows it: host, port, name and user."""


Statement = LiteralString | compose.SQL | compose.Composed


CANCEL_TIMEOUT_SECONDS = 2.0


LOST_STATES = {
    "57P01",  # admin_shutdown: the server stops, or somebody ended the session
    "57P02",  # crash_shutdown
    "57P03",  # cannot_connect_now: it starts, or recovers
}
"""With these the server has let go of the session; a new one can go on."""


class Cursor(psycopg.Cursor[tuple[Any, ...]]):
    """A cursor that takes names and literals with a percent sign in statements that have values.

    psycopg reads each `%` of such a statement as the beginning of a placeholder, in a column's name as well.
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
"""Text in them cannot be had as UTF-8: the first does not say what its bytes mean, and from the second
PostgreSQL does not convert."""


class DatabaseUnavailableError(Exception):
    """The database did not answer; the message says which one and what it said."""


class DatabaseRefusedError(DatabaseUnavailableError):
    """The database answers, but must not be worked on as it is. Nothing was done; the message says why."""


class EncodingRefusedError(DatabaseRefusedError):
    """Its encoding does not say what its bytes mean."""


class PoolerRefusedError(DatabaseRefusedError):
    """A pooler is in between that lends its sessions for a transaction."""


def connect(
    url: str,
    application_name: str,
    *,
    lock_timeout: str = "2s",
    statement_timeout: str = "0",
    connect_timeout: int = 5,
) -> Connection:
    """An autocommit connection with its session set up for maintenance.

    What changes how values are read or written is pinned (see `preparation`); where row security would
    hide rows, PostgreSQL raises InsufficientPrivilege. `lock_timeout` makes
    our statements give way to the application's instead of queueing in front of them; it and
    `statement_timeout` are PostgreSQL durations ("2s"), "0" for none. `connect_timeout` is in seconds.

    Raises DatabaseUnavailableError when no connection can be made, and of its kind DatabaseRefusedError.
    """
    connection = connect_bare(url, connect_timeout=connect_timeout)
    try:
        refuse_unusable(url, connection.info)
        connection.execute(
            *preparation(application_name, lock_timeout=lock_timeout, statement_timeout=statement_timeout)
        )
    except psycopg.errors.InsufficientPrivilege as error:
        user = connection.info.user
        connection.close()
        raise DatabaseRefusedError(
            f"{describe(url)} sets session_replication_role for our sessions, in which foreign keys and "
            f"triggers would not act, and its user may not set it back ({error}). Take it back: "
            f"ALTER ROLE {user} RESET session_replication_role, or ALTER DATABASE … RESET it"
        ) from error
    except BaseException:
        connection.close()
        raise
    return connection


def connect_bare(url: str, *, connect_timeout: int = 5) -> Connection:
    """An autocommit connection whose session is as the server has it: not for what is looked after.

    Not even a name: a pooler would leave it in a session that it then lends to the application. Raises
    DatabaseUnavailableError.
    """
    try:
        connection = psycopg.connect(
            credentials.with_password(url),
            autocommit=True,
            connect_timeout=connect_timeout,
            cursor_factory=Cursor,
        )
    except credentials.PasswordError as error:
        raise DatabaseUnavailableError(f"{describe(url)} was not asked: {error}") from error
    except psycopg.OperationalError as error:
        if _looks_unescaped(url):
            raise DatabaseUnavailableError(
                "the database's URL cannot be read as it was meant: its user or password has an @, / or # of "
                "its own. Write %40 for @, %2F for /, %23 for #, %3A for : and %25 for %"
            ) from None  # libpq's words hold a part of the password
        raise DatabaseUnavailableError(f"{describe(url)} does not answer: {error}") from error
    if url != credentials.without_source(url):
        _urls[_place(connection.info)] = url
    return connection


def _looks_unescaped(url: str) -> bool:
    """Whether a character that ends the password stands within it: then libpq takes its rest for a host."""
    rest = url.partition("://")[2].partition("?")[0]
    return rest.count("@") > 1 or "@" in rest.partition("/")[2]


def refuse_unusable(url: str, info: psycopg.ConnectionInfo) -> None:
    """To be asked of every new session of ours, before anything is set in it; `info` is the session's.

    Whether a pooler is in between is found out once for each place and process, with two more connections.
    Raises DatabaseRefusedError, and DatabaseUnavailableError when that could not be found out.
    """
    encoding = info.parameter_status("server_encoding")
    if encoding in UNREADABLE_ENCODINGS:
        raise EncodingRefusedError(
            f"{describe(url)} is refused: its encoding is {encoding}, which does not say what its bytes "
            "mean, so events and archived rows could not be read again. Nothing was changed. Move it to a "
            f"database with an encoding; LATIN1 stands for what its text is in: {copy_to_utf8(info.dbname)}"
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
"""How each place is reached whose password is read for each connection: the last one may have expired."""


_checking = threading.Lock()


_without_transaction_pooler: set[Place] = set()


def _refuse_transaction_pooler(url: str) -> None:
    try:
        lends = pooler.lends_by_transaction(lambda: connect_bare(url))
    except psycopg.Error as error:
        raise DatabaseUnavailableError(
            f"{describe(url)} gave no second session within {pooler.WAIT_SECONDS:.0f} seconds, and we need "
            f"several: {error}. Nothing was changed. Where a pooler is in between, raise its pool_size"
        ) from error
    if lends:
        raise PoolerRefusedError(
            f"{describe(url)} is refused: between it and us is a pooler that lends its sessions for a "
            "transaction, as PgBouncer does with pool_mode = transaction. Our role, settings and locks would "
            "land in sessions of the application. Nothing was changed. Put the address of the PostgreSQL "
            "server itself into the URL, or that of an entry of the pooler with pool_mode = session "
            "(docs/deploy.md, Connection poolers)"
        )


def connection_was_lost(error: BaseException) -> bool:
    """Whether the error says that the session is gone, so that a new one may do what it could not."""
    if isinstance(error, DatabaseUnavailableError):
        return not isinstance(error, DatabaseRefusedError)
    if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
        return True  # a standby now; for psycopg an internal error
    if not isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return False
    # Without a state the error is libpq's own: the socket is closed.
    return error.sqlstate is None or error.sqlstate in LOST_STATES or error.sqlstate.startswith("08")


def url_of(connection: Connection | psycopg.AsyncConnection[Any]) -> str:
    """Where another connection of the same kind can be made, with the password or where that comes from."""
    if (url := _urls.get(_place(connection.info))) is not None:
        return url
    parameters = connection.info.get_parameters()
    return conninfo.make_conninfo(**parameters | {"password": connection.info.password})


def describe(url: str) -> str:
    """Which database a URL means, without its password."""
    try:
        parts = conninfo.conninfo_to_dict(credentials.without_source(url))
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

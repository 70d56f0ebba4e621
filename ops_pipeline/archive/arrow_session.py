"""The connection that deletes and archives: rows come out of it as Arrow."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import adbc_driver_manager as adbc
import adbc_driver_postgresql
import psycopg
import pyarrow as pa

# The public fetch_record_batch answers with a reader whose errors have lost their SQLSTATE
# (github.com/apache/arrow-adbc/issues/1523).
from adbc_driver_manager._reader import AdbcRecordBatchReader
from psycopg import conninfo
from psycopg import sql as compose

import sql
from ops_pipeline.credentials import PasswordError, with_password
from ops_pipeline.postgres.connection import Connection, DatabaseUnavailableError, describe, scalar
from ops_pipeline.postgres.session import preparation

WAIT_FOR_PREDECESSOR = "15s"
BATCH_BYTES = adbc_driver_postgresql.StatementOptions.BATCH_SIZE_HINT_BYTES.value
BATCH = 4 * 1024 * 1024
"""Bytes of rows that arrive at a time: enough to be worth it, few enough that encoding soon has some."""


class ArrowSessionBusyError(Exception):
    """A session of an earlier run still works for the policy; the message says which. Nothing was done."""


class CommitUnknownError(psycopg.OperationalError):
    """The connection was lost while a transaction was being committed: it may or may not have been.

    The files of this transaction stay where they are. Reconciling tells, from what the database says
    once the session has ended, which of them count.
    """


def startup_options(connection: Connection) -> str:
    """What an ArrowSession beside that connection has to begin with, as libpq's `options`; "" for nothing.

    Its driver reads the types of the database before anything can be set, and some of what the role or
    database sets would change the answer. Only where it does: a pooler may refuse options.
    """
    return str(scalar(connection, sql.get("archive/startup_settings")))


class ArrowSession:
    """A session of one policy. It holds `ops: worker of <policy>` for as long as the server knows it.

    So whoever holds that lock knows that no commit of an earlier worker can still come to pass. Errors
    are psycopg's, by SQLSTATE, as on any other connection. Not for two threads, `cancel` excepted.
    """

    def __init__(
        self,
        url: str,
        policy: str,
        application_name: str,
        *,
        lock_timeout: str = "2s",
        statement_timeout: str = "0",
        options: str = "",
    ) -> None:
        """Connects, with the `startup_options` besides the URL's own. Raises DatabaseUnavailableError, or
        ArrowSessionBusyError when an earlier session of the policy does not end within 15 seconds."""
        self._lock = f"ops: worker of {policy}"
        self._statement: adbc.AdbcStatement | None = None
        try:
            given = with_password(url)
            if options:
                options = f"{conninfo.conninfo_to_dict(given).get('options', '')} {options}"
                given = conninfo.make_conninfo(given, options=options)
            as_utf8 = conninfo.make_conninfo(given, client_encoding="UTF8")
            self._database = adbc_driver_postgresql.connect(as_utf8)
            self._connection = adbc.AdbcConnection(self._database)
        except (adbc.Error, PasswordError) as error:
            raise DatabaseUnavailableError(f"{describe(url)} does not answer: {error}") from error
        try:
            self._prepare(application_name, lock_timeout, statement_timeout)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "ArrowSession":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the session; an open transaction is rolled back, and the lock is free."""
        self._connection.close()
        self._database.close()

    def execute(self, statement: str | compose.Composable) -> int:
        """Carries the statement out; answers with how many rows it touched, -1 where that says nothing."""
        with self._running(statement) as running:
            touched: int = running.execute_update()
            return touched

    @contextmanager
    def query(self, statement: str | compose.Composable) -> Iterator[pa.RecordBatchReader]:
        """The rows that a SELECT, or a DELETE … RETURNING, answers with, as they come.

        A DELETE is done when its last row has been read, and not before.
        """
        with self._running(statement) as running:
            running.set_options(**{BATCH_BYTES: str(BATCH)})
            handle, _ = running.execute_query()
            reader = AdbcRecordBatchReader._import_from_c(handle.address)  # noqa: SLF001 - see the import
            try:
                yield reader
            except BaseException:
                running.cancel()  # or closing would wait for the statement's end
                raise
            finally:
                reader.close()

    def ingest(self, schema: str, table: str, reader: pa.RecordBatchReader) -> int:
        """Appends the rows to a table whose columns have the names and types of the reader's fields."""
        with self._at_work() as running:
            running.set_options(
                **{
                    adbc.StatementOptions.INGEST_TARGET_TABLE.value: table,
                    adbc.StatementOptions.INGEST_TARGET_DB_SCHEMA.value: schema,
                    adbc.StatementOptions.INGEST_MODE.value: adbc.INGEST_OPTION_MODE_APPEND,
                }
            )
            running.bind_stream(reader)
            ingested: int = running.execute_update()
            return ingested

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """What is done within is committed at its end, or rolled back when it raises.

        Raises CommitUnknownError when nobody can say which of the two it was.
        """
        self.execute("BEGIN")
        try:
            yield
        except BaseException:
            self._roll_back()
            raise
        try:
            self.execute("COMMIT")
        except psycopg.Error as error:
            if error.sqlstate is None:
                raise CommitUnknownError(str(error)) from error
            raise
        except BaseException:
            self._roll_back()  # an interrupt came before the COMMIT, or after it, when this changes nothing
            raise

    @property
    def pid(self) -> int:
        """The server's process."""
        return self._pid

    def cancel(self) -> None:
        """Stops the statement at work, from another thread. Its rows are not deleted."""
        if self._statement is not None:
            self._statement.cancel()

    def _prepare(self, application_name: str, lock_timeout: str, statement_timeout: str) -> None:
        statement, values = preparation(
            application_name, lock_timeout=lock_timeout, statement_timeout=statement_timeout
        )
        # This driver binds no parameters where it answers with rows.
        literals = {name: compose.Literal(value).as_string(None) for name, value in values.items()}
        self._pid: int = self._value("SELECT pg_backend_pid()")
        self.execute(statement % literals)
        self.execute(sql.get("archive/wait_for_disk"))
        self.execute(sql.get("postgres/compress_wal"))
        self.execute(compose.SQL("SET lock_timeout = {}").format(compose.Literal(WAIT_FOR_PREDECESSOR)))
        take = compose.SQL("SELECT pg_advisory_lock(hashtextextended({}, 0))")
        try:
            self.execute(take.format(compose.Literal(self._lock)))
        except psycopg.errors.LockNotAvailable as error:
            raise ArrowSessionBusyError(
                f"an earlier session still works for this policy (it holds the lock {self._lock!r}); nothing "
                "was done. It ends by itself once the server notices that its client is gone"
            ) from error
        self.execute(compose.SQL("SET lock_timeout = {}").format(compose.Literal(lock_timeout)))

    def _value(self, statement: str) -> Any:
        with self.query(statement) as reader:
            return reader.read_all().column(0)[0].as_py()

    @contextmanager
    def _running(self, statement: str | compose.Composable) -> Iterator[adbc.AdbcStatement]:
        text = statement if isinstance(statement, str) else statement.as_string(None)
        with self._at_work() as running:
            running.set_sql_query(text)
            yield running

    @contextmanager
    def _at_work(self) -> Iterator[adbc.AdbcStatement]:
        with adbc.AdbcStatement(self._connection) as running:
            self._statement = running
            try:
                yield running
            except adbc.Error as error:
                raise _as_psycopg(error) from error
            finally:
                self._statement = None

    def _roll_back(self) -> None:
        try:
            self.execute("ROLLBACK")
        except psycopg.Error:
            # Only a broken connection refuses this, and then the server rolls back by itself.
            self._connection.close()


def _as_psycopg(error: adbc.Error) -> psycopg.Error:
    if not error.sqlstate:
        return psycopg.OperationalError(str(error))
    return psycopg.errors.lookup(error.sqlstate)(str(error))

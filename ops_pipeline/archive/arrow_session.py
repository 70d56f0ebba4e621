"""The database session that archives and deletes: queries return rows as Arrow. Loads Arrow."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import adbc_driver_manager as adbc
import adbc_driver_postgresql
import psycopg
import pyarrow as pa

# The public fetch_record_batch returns a reader whose errors have no SQLSTATE
# (github.com/apache/arrow-adbc/issues/1523).
from adbc_driver_manager._reader import AdbcRecordBatchReader
from psycopg import conninfo
from psycopg import sql as compose

import sql
from ops_pipeline.credentials import PasswordError, with_password
from ops_pipeline.opsctl import opsctl
from ops_pipeline.postgres.connection import Connection, NoConnectionError, no_connection, scalar
from ops_pipeline.postgres.session import preparation

WAIT_FOR_PREDECESSOR = "15s"
BATCH_BYTES = adbc_driver_postgresql.StatementOptions.BATCH_SIZE_HINT_BYTES.value
BATCH = 4 * 1024 * 1024
"""Bytes of rows per Arrow batch: large enough to be efficient, small enough that encoding starts early."""


class ArrowSessionBusyError(Exception):
    """A session of an earlier run is still working for the policy. Nothing was done."""


class CommitUnknownError(psycopg.OperationalError):
    """The connection was lost during a COMMIT: the transaction may or may not be committed.

    The files of this transaction are kept. Once the session has ended, `Archive.reconcile` finds out from the
    database which of them count.
    """


def startup_options(connection: Connection) -> str:
    """The libpq `options` that an ArrowSession for the same database must start with; "" for none.

    Its driver reads the database's types before any setting can be changed, and some settings of the role or
    database would change the result. Only those are included, because a pooler may reject options.
    """
    return str(scalar(connection, sql.get("archive/startup_settings")))


class ArrowSession:
    """A session of one policy. It holds the advisory lock `ops: worker of <policy>` until it ends.

    So once it has the lock, no earlier worker's transaction can still be committed. Errors are psycopg's, by
    SQLSTATE, as on any other connection. Not thread-safe, except for `cancel`.
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
        again: str = "",
    ) -> None:
        """Connects. `options`: the `startup_options`, added to the URL's own. `again`: what to do once an
        earlier session has ended; empty: run the policy. Raises NoConnectionError, or ArrowSessionBusyError
        when an earlier session of the policy does not end within 15 seconds."""
        self._lock = f"ops: worker of {policy}"
        self._again = again or opsctl("run", policies=[policy])
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
            raise NoConnectionError(no_connection(url, error)) from error
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
        """Ends the session; an open transaction is rolled back, and the lock is released."""
        self._connection.close()
        self._database.close()

    def execute(self, statement: str | compose.Composable) -> int:
        """Executes the statement; returns the number of affected rows, -1 where that is unknown."""
        with self._running(statement) as running:
            touched: int = running.execute_update()
            return touched

    @contextmanager
    def query(self, statement: str | compose.Composable) -> Iterator[pa.RecordBatchReader]:
        """The rows that a SELECT, or a DELETE … RETURNING, returns, as a stream.

        A DELETE is done only when its last row has been read.
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
        """A transaction: committed at the end of the context, rolled back when it raises.

        Raises CommitUnknownError when it is unknown whether it was committed.
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
            self._roll_back()  # if the interrupt came after the COMMIT, this has no effect
            raise

    @property
    def pid(self) -> int:
        """The process ID of the server's backend."""
        return self._pid

    def cancel(self) -> None:
        """Cancels the running statement, from another thread. Its rows are not deleted."""
        if self._statement is not None:
            self._statement.cancel()

    def _prepare(self, application_name: str, lock_timeout: str, statement_timeout: str) -> None:
        statement, values = preparation(
            application_name, lock_timeout=lock_timeout, statement_timeout=statement_timeout
        )
        # This driver cannot bind parameters to a statement that returns rows.
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
                "an earlier session is still working for this policy (it holds the advisory lock "
                f"{self._lock!r}). Nothing was done. The server ends that session once it notices that its "
                f"client has disconnected. Then: {self._again}"
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
            # Only a broken connection fails here, and then the server rolls back by itself.
            self._connection.close()


def _as_psycopg(error: adbc.Error) -> psycopg.Error:
    if not error.sqlstate:
        return psycopg.OperationalError(str(error))
    return psycopg.errors.lookup(error.sqlstate)(str(error))

"""Database connections of the health checks, separate from the pools, which may be busy or broken."""

import asyncio
import time
import traceback
from typing import Any, LiteralString

import psycopg

from api.db.pool import AsyncConnection, Row
from api.process.deadline import deadline
from ops_pipeline.credentials import PasswordError, with_password
from ops_pipeline.postgres.connection import DatabaseUnavailableError, refuse_unusable
from ops_pipeline.postgres.session import preparation

CONNECT_SECONDS = 2
"""libpq's minimum, in whole seconds."""
ANSWER_SECONDS = 2.5
"""For connecting and the answer together; shorter than a check's deadline, so that a look ends by itself."""
LEAST_SECONDS = 0.5


class InvalidUrlError(psycopg.OperationalError):
    """The URL cannot be parsed. The settings' URLs were checked at the start, so it is one of
    policies.yaml."""


class HealthConnection:
    """One connection that is kept, and runs one statement at a time."""

    def __init__(self, url: str) -> None:
        """`url` is a maintained database; its session is set up like all of ours."""
        self._url = url
        self._in_use = asyncio.Lock()
        self._connection: AsyncConnection | None = None

    async def rows(self, statement: LiteralString, values: Any = None) -> list[Row]:
        """The statement's rows. Raises psycopg.Error; the next call then reconnects."""
        async with self._in_use:
            began = time.monotonic()
            connection, self._connection = self._connection, None
            if connection is None or connection.closed or connection.broken:
                connection = await _prepared(self._url)
            answer = await _ask(connection, statement, values, began)
            self._connection = connection
            return answer

    async def close(self) -> None:
        """Closes the connection."""
        if self._connection is not None:
            await self._connection.close()


async def ask(url: str, statement: LiteralString, values: Any = None, *, ours: bool = True) -> list[Row]:
    """The statement's rows, over a new connection that is closed afterwards. Raises psycopg.Error.

    `ours` False: the database is Dagster's, and its session is not set up.
    """
    began = time.monotonic()
    connection = await (_prepared(url) if ours else _connect(url))
    try:
        return await _ask(connection, statement, values, began)
    finally:
        await connection.close()


async def _ask(connection: AsyncConnection, statement: LiteralString, values: Any, began: float) -> list[Row]:
    left = max(LEAST_SECONDS, ANSWER_SECONDS - (time.monotonic() - began))
    with deadline(connection, left):
        return await (await connection.execute(statement, values)).fetchall()


async def _prepared(url: str) -> AsyncConnection:
    connection = await _connect(url)
    try:
        await asyncio.to_thread(_refuse, url, connection.info)
        with deadline(connection, ANSWER_SECONDS):
            await connection.execute(*preparation("ops api health", row_security="on"))
    except BaseException:
        await connection.close()
        raise
    return connection


def _refuse(url: str, info: psycopg.ConnectionInfo) -> None:
    try:
        refuse_unusable(url, info)
    except DatabaseUnavailableError as error:
        raise psycopg.OperationalError(str(error)) from None


async def _connect(url: str) -> AsyncConnection:
    try:
        # Not even application_name is set: a pooler would leave it in a session that the application gets.
        with_its_password = await asyncio.to_thread(with_password, url)
        return await psycopg.AsyncConnection.connect(
            with_its_password, autocommit=True, connect_timeout=CONNECT_SECONDS
        )
    except PasswordError as error:
        raise psycopg.OperationalError(str(error)) from None
    except psycopg.ProgrammingError:
        # libpq's message contains the part that it cannot parse, which is often the password.
        raise InvalidUrlError("its URL is invalid") from None
    except asyncio.CancelledError as canceled:
        # Otherwise the half-open connection would stay until garbage collection, and the database could not
        # be dropped until the server's authentication timeout of a minute.
        traceback.clear_frames(canceled.__traceback__)
        raise

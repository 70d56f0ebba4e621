"""A connection from the pool that one task keeps while it has work."""

import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

from api.db.pool import AsyncConnection, Pool, Row
from api.process.deadline import deadline
from ops_pipeline.postgres.connection import Statement

IDLE_SECONDS = 1.0
"""After this time without work the connection is returned; the next one is checked before use."""
ANSWER_SECONDS = 12.0


class PinnedConnection:
    """Runs one statement at a time on a connection from the pool, and keeps the connection.

    That saves the pool's check, a round trip, for each statement, and lets statements be prepared. After a
    failure the connection is returned to the pool.
    """

    def __init__(self, pool: Pool, observe: Callable[[str, float], None]) -> None:
        self._pool = pool
        self._observe = observe
        self._stack = AsyncExitStack()
        self._connection: AsyncConnection | None = None
        self._used = 0.0

    async def rows(self, query_type: str, statement: Statement, values: Any = None) -> list[Row]:
        """The statement's rows. Raises psycopg.Error, or PoolTimeout when no connection is free."""
        if time.monotonic() - self._used > IDLE_SECONDS:
            await self.release()
        connection = self._connection or await self._take()
        began = time.perf_counter()
        try:
            with deadline(connection, ANSWER_SECONDS):
                cursor = await connection.execute(statement, values, prepare=True)
                return await cursor.fetchall()
        except BaseException:
            await self.release()
            raise
        finally:
            self._used = time.monotonic()
            self._observe(query_type, time.perf_counter() - began)

    async def release(self) -> None:
        """Returns the connection to the pool."""
        self._connection = None
        await self._stack.aclose()

    async def _take(self) -> AsyncConnection:
        self._connection = await self._stack.enter_async_context(self._pool.connection())
        return self._connection

"""The connections that requests share."""

import time
from collections.abc import Callable
from typing import Any, LiteralString

import psycopg
from psycopg_pool import AsyncConnectionPool

import sql

Row = tuple[Any, ...]
AsyncConnection = psycopg.AsyncConnection[Row]

STATEMENT_TIMEOUT = "10s"
WAIT_SECONDS = 5.0
"""How long a request waits for a connection before it is told to come again."""


class Pool:
    """Runs statements on shared connections and reports how long each took, by its type."""

    def __init__(self, url: str, observe: Callable[[str, float], None]) -> None:
        self._observe = observe
        self._pool: AsyncConnectionPool[AsyncConnection] = AsyncConnectionPool(
            url,
            min_size=1,
            max_size=10,
            timeout=WAIT_SECONDS,
            # Without a check a connection that died with the server is handed out; without the short
            # limit the pool is in no hurry to try again once the database is back.
            check=AsyncConnectionPool.check_connection,
            reconnect_timeout=10.0,
            kwargs={"autocommit": True, "connect_timeout": 5, "prepare_threshold": None},
            configure=_prepare,
            name="api",
            open=False,
        )

    async def open(self) -> None:
        """Starts connecting. A database that is away is no reason not to start."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        """Gives every connection back."""
        await self._pool.close()

    async def rows(self, query_type: str, statement: LiteralString, values: Any = None) -> list[Row]:
        """What a statement answers with. Raises psycopg.Error, or PoolTimeout when no connection is free."""
        async with self._pool.connection() as connection:
            began = time.perf_counter()
            try:
                cursor = await connection.execute(statement, values)
                return await cursor.fetchall()
            finally:
                self._observe(query_type, time.perf_counter() - began)


async def _prepare(connection: AsyncConnection) -> None:
    await connection.execute(
        sql.get("session/prepare"),
        {"application_name": "ops api", "lock_timeout": "2s", "statement_timeout": STATEMENT_TIMEOUT},
    )

"""Connection pools that requests share."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import Enum
from typing import Any, Self

import psycopg
import structlog
from psycopg_pool import AsyncConnectionPool, PoolTimeout

import sql
from api.db.outage import AllInUseError
from api.process.deadline import deadline
from ops_pipeline.credentials import with_password
from ops_pipeline.postgres.connection import Statement, refuse_unusable
from ops_pipeline.postgres.session import preparation

Row = tuple[Any, ...]
AsyncConnection = psycopg.AsyncConnection[Row]

STATEMENT_SECONDS = 10
ANSWER_SECONDS = 12.0
"""A server that has not reported a statement timeout by now is frozen or unreachable."""
CHECK_SECONDS = 2.0
"""How long the check of a connection may take before another one is tried."""
UNCHECKED_SECONDS = 1.0
"""A connection used less than this time ago is not checked: a check costs a round trip."""
CLOSE_SECONDS = 1.0
"""How long a connection attempt in progress may delay shutdown."""
WAIT_SECONDS = 5.0
"""How long a request waits for a connection before it gets 503."""

log = structlog.get_logger()


class Role(Enum):
    """The database role of a pool's connections, created by the migrations; the value is its name."""

    READER = "ops_reader"
    WRITER = "ops_writer"

    @property
    def right(self) -> str:
        """The privilege that the role must have on `audit_logs`."""
        return "SELECT" if self is Role.READER else "INSERT"


class Pool:
    """Runs statements on shared connections and reports the duration of each by its type.

    With a `role` every connection switches to it (SET ROLE), which limits what a wrong statement can do.
    If the login role may not, its connections keep the login role's privileges, and the log says so.
    With `keep_plans` every statement is prepared and uses a generic plan.
    """

    def __init__(
        self,
        url: str,
        observe: Callable[[str, float], None],
        role: Role | None = None,
        *,
        max_size: int = 10,
        keep_plans: bool = False,
        purpose: str = "requests of this kind",
    ) -> None:
        self._url = url
        self._observe = observe
        self._role = role
        self._keep_plans = keep_plans
        self._role_reported = False
        self._purpose = purpose
        self._max_size = max_size
        self._in_use = 0
        self._pool: AsyncConnectionPool[_Connection] = AsyncConnectionPool(
            self._with_password,
            min_size=1,
            max_size=max_size,
            timeout=WAIT_SECONDS,
            # Without the check, connections that were lost with the server would be handed out; without the
            # short limit, the pool would take long to reconnect once the database is back.
            check=_check,
            connection_class=_Connection,
            reconnect_timeout=10.0,
            kwargs={"autocommit": True, "connect_timeout": 5},
            configure=self._prepare,
            name="api",
            open=False,
        )

    async def __aenter__(self) -> Self:
        # The API starts even when the database does not answer.
        await self._pool.open(wait=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._pool.close(timeout=CLOSE_SECONDS)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AsyncConnection]:
        """A connection for the block. Raises PoolTimeout when none is free within 5 seconds."""
        connection = await self._taken()
        try:
            async with connection:
                yield connection
        finally:
            await self._given_back(connection)

    @property
    def waiting(self) -> int:
        """How many requests are waiting for a connection."""
        return self._pool.get_stats().get("requests_waiting", 0)

    async def rows(self, query_type: str, statement: Statement, values: Any = None) -> list[Row]:
        """The statement's rows. Raises psycopg.Error, or PoolTimeout when no connection is free."""
        # Without the pool's context manager, which would send a needless COMMIT.
        connection = await self._taken()
        began = time.perf_counter()
        try:
            with deadline(connection, ANSWER_SECONDS):
                cursor = await connection.execute(statement, values, prepare=self._keep_plans)
                return await cursor.fetchall() if cursor.rownumber is not None else []
        finally:
            connection.used = time.monotonic()
            self._observe(query_type, time.perf_counter() - began)
            await self._given_back(connection)

    async def _taken(self) -> "_Connection":
        try:
            connection = await self._pool.getconn()
        except PoolTimeout as error:
            if self._in_use < self._max_size:
                raise  # the pool could not connect
            raise AllInUseError(
                f"All {self._max_size} of the API's database connections for {self._purpose} are in use."
            ) from error
        self._in_use += 1
        return connection

    async def _given_back(self, connection: "_Connection") -> None:
        self._in_use -= 1
        await self._pool.putconn(connection)

    async def _with_password(self) -> str:
        return await asyncio.to_thread(with_password, self._url)

    async def _prepare(self, connection: AsyncConnection) -> None:
        await asyncio.to_thread(refuse_unusable, self._url, connection.info)
        with deadline(connection, CHECK_SECONDS):
            await self._set_up(connection)

    async def _set_up(self, connection: AsyncConnection) -> None:
        # The API deletes nothing, and returns what its role may read: row security stays on.
        await connection.execute(
            *preparation("ops api", statement_timeout=f"{STATEMENT_SECONDS} s", row_security="on")
        )
        if self._keep_plans:
            await connection.execute(sql.get("api/db/keep_plans"))
        if self._role is not None:
            became = await _become(connection, self._role)
            if not became and not self._role_reported:
                self._role_reported = True
                log.warning("database role not in use", role=self._role.value, user=connection.info.user)


class _Connection(psycopg.AsyncConnection[Row]):
    used = float("-inf")


async def _check(connection: _Connection) -> None:
    if time.monotonic() - connection.used < UNCHECKED_SECONDS:
        return
    with deadline(connection, CHECK_SECONDS):
        await AsyncConnectionPool.check_connection(connection)


async def _become(connection: AsyncConnection, role: Role) -> bool:
    try:
        cursor = await connection.execute(sql.get("api/db/become"), {"role": role.value, "right": role.right})
    except psycopg.errors.InsufficientPrivilege:  # a member, but WITH SET FALSE
        return False
    return await cursor.fetchone() is not None

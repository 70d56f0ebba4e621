"""Records when each key was last used, to the minute, without delaying requests."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Self
from uuid import UUID

import psycopg
import structlog
from psycopg_pool import PoolClosed, PoolTimeout

import sql
from api.db.pool import Pool
from ops_pipeline.serving import background

EVERY_SECONDS = 60.0
LOOK_SECONDS = 1.0

log = structlog.get_logger()


class LastUse:
    """Records uses in memory; a background task writes them, for each key at most once a minute.

    A request only sets one dictionary entry. Uses that are not written yet are written on shutdown; while
    the database does not answer they are kept and retried.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._unwritten: dict[UUID, datetime] = {}
        self._written: dict[UUID, float] = {}
        self._task: asyncio.Task[None] | None = None
        self._leaving = False

    async def __aenter__(self) -> Self:
        self._task = background.start(self._write_now_and_then(), "last use of keys")
        return self

    async def __aexit__(self, *_: object) -> None:
        # Canceling is not enough: a task that gets its connection at the same moment misses the
        # cancellation (asyncio.wait_for before Python 3.12), and would loop forever.
        self._leaving = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        await self._write(list(self._unwritten))

    def record(self, key_id: UUID) -> None:
        """Records that the key was used now."""
        self._unwritten[key_id] = datetime.now(UTC)

    async def _write_now_and_then(self) -> None:
        while not self._leaving:
            await asyncio.sleep(LOOK_SECONDS)
            before = time.monotonic() - EVERY_SECONDS
            await self._write([key for key in self._unwritten if self._written.get(key, before) <= before])

    async def _write(self, key_ids: list[UUID]) -> None:
        if not key_ids:
            return
        uses = {key_id: self._unwritten[key_id] for key_id in key_ids}
        values = {"ids": list(uses), "times": list(uses.values())}
        try:
            await self._pool.rows("update", sql.get("api/auth/record_use"), values)
        except (psycopg.Error, PoolTimeout, PoolClosed) as error:
            log.warning("last use of keys not written", keys=len(uses), error=type(error).__name__)
            return
        for key_id, at in uses.items():
            self._written[key_id] = time.monotonic()
            if self._unwritten[key_id] == at:
                del self._unwritten[key_id]

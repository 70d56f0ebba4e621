"""Which keys may read the messages of health checks; looked up in the background."""

import asyncio
from datetime import UTC, datetime

import psycopg

import sql
from api.health.connection import HealthConnection
from ops_pipeline.access import keys

REFRESH_SECONDS = 2.0
"""How long it may take until a new or revoked key is noticed."""


class Readers:
    """The keys with the scope `maintenance:read` or `admin`, kept in memory.

    A probe's key is compared in memory, so that probes never query the database. While the database does not
    answer, the last known keys stay valid, because their owners need the messages then.
    """

    def __init__(self, connection: HealthConnection) -> None:
        self._connection = connection
        self._until: dict[bytes, datetime | None] = {}

    def include(self, key: str | None) -> bool:
        """Whether it is one of these keys."""
        key_hash = keys.hashed(key or "")
        if key_hash not in self._until:
            return False
        until = self._until[key_hash]
        return until is None or until > datetime.now(UTC)

    async def keep_up(self) -> None:
        """Looks the keys up every 2 seconds, until it is canceled."""
        while True:
            await self.look()
            await asyncio.sleep(REFRESH_SECONDS)

    async def look(self) -> None:
        """Looks the keys up once."""
        try:
            self._until = dict(await self._connection.rows(sql.get("api/health/readers")))
        except psycopg.Error:
            return  # the checks report the database's problem

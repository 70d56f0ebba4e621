"""Which keys may read what the checks found; looked up in the background."""

import asyncio
from datetime import UTC, datetime

import psycopg

import sql
from api.health.connection import HealthConnection
from ops_pipeline.access import keys

REFRESH_SECONDS = 2.0
"""How long a new key, or one that was revoked, may not be noticed."""


class Readers:
    """The keys with the scope `maintenance:read` or `admin`, as they were last known.

    A probe is held against what is in memory, so whatever key it brings it reaches no database. While
    the database is away the keys known before go on: that is when their owners need the findings most.
    """

    def __init__(self, connection: HealthConnection) -> None:
        self._connection = connection
        self._until: dict[bytes, datetime | None] = {}

    def include(self, key: str | None) -> bool:
        """Whether it is such a key."""
        key_hash = keys.hashed(key or "")
        if key_hash not in self._until:
            return False
        until = self._until[key_hash]
        return until is None or until > datetime.now(UTC)

    async def keep_up(self) -> None:
        """Looks the keys up again and again, until it is cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(REFRESH_SECONDS)

    async def look(self) -> None:
        """Looks the keys up once."""
        try:
            self._until = dict(await self._connection.rows(sql.get("api/health/readers")))
        except psycopg.Error:
            return  # what is wrong is for the checks to say

"""The list of all checks, and what they hold on to."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial

from api.db.pool import Pool
from api.health import database
from api.health.archive import Archive
from api.health.check import Check
from api.health.connection import KeptConnection
from api.health.database import Database
from api.health.dependencies import Cache, ExternalApi
from api.health.maintenance import Maintenance
from api.health.monitor import Monitor
from api.health.readers import Readers
from api.process import background
from ops_pipeline.settings import Settings

SCHEMA = "Schema missing or not as this version needs it: run `opsctl migrate`"

SLOWLY = 15.0
"""Seconds between looks at what turns bad slowly, or that no request waits for."""


class Watched:
    """The monitor of everything, who may read what it finds, and what its checks hold on to."""

    def __init__(self, settings: Settings, pools: Mapping[str, Pool]) -> None:
        url = settings.database_url or ""
        # The first for nothing but the ping: what it measures is what a request would wait.
        self._connections = [KeptConnection(url), KeptConnection(url)]
        pinged, shared = self._connections
        self._cache = Cache(settings.cache_url)
        self._external = ExternalApi(settings.external_api_url)
        archive = Archive(settings.archive_url, shared)
        policies = Maintenance(settings)
        slow = Database(url, settings.dagster_database_url)
        self.readers = Readers(shared)
        self.monitor = Monitor(
            [
                Check("database", partial(database.answers, pinged), True, "Database unavailable", 1.0),
                Check("schema", partial(database.schema, shared), True, SCHEMA, 5.0),
                Check("pool", partial(database.saturation, pools), interval=1.0),
                Check("cache", self._cache, interval=SLOWLY),
                Check("externalApi", self._external, interval=SLOWLY),
                Check("scheduler", slow.scheduler, interval=SLOWLY),
                Check("maintenance", policies.done, interval=4 * SLOWLY, deadline=30.0),
                Check("partitions", policies.partitions, interval=4 * SLOWLY, deadline=30.0),
                Check("archive", archive.writable, interval=SLOWLY),
                Check("archiveDisk", archive.disk, interval=SLOWLY),
                Check("transactions", slow.transactions, interval=SLOWLY),
                Check("replicas", slow.replicas, interval=SLOWLY),
            ]
        )

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Looks at everything while the context lasts."""
        async with self.monitor:
            readers = background.start(self.readers.keep_up(), "health readers")
            try:
                yield
            finally:
                readers.cancel()
                await self._cache.close()
                await self._external.close()
        for connection in self._connections:
            await connection.close()

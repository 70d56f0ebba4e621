"""Everything that is looked at."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial

from api import background
from api.health import database
from api.health.archive import Archive
from api.health.check import Check
from api.health.connection import Kept
from api.health.database import Database
from api.health.maintenance import Maintenance
from api.health.monitor import Monitor
from api.health.readers import Readers
from api.health.surroundings import Cache, ExternalApi
from api.pool import Pool
from ops_pipeline.settings import Settings

SCHEMA = "Schema missing or not as this version needs it: run `opsctl migrate`"

SLOWLY = 15.0
"""Seconds between looks at what turns bad slowly, or is needed by nobody who waits."""


class Watched:
    """The monitor of everything, who may read what it finds, and what its checks hold on to."""

    def __init__(self, settings: Settings, pools: Mapping[str, Pool]) -> None:
        url = settings.database_url or ""
        # The first for nothing but the ping: what it measures is what anybody would wait.
        self._connections = [Kept(url), Kept(url)]
        pinged, asked = self._connections
        self._cache = Cache(settings.cache_url)
        self._external = ExternalApi(settings.external_api_url)
        archive = Archive(settings.archive_url, asked)
        promised = Maintenance(settings)
        found = Database(url, settings.dagster_database_url)
        self.readers = Readers(asked)
        self.monitor = Monitor(
            [
                Check("database", partial(database.answers, pinged), True, "Database unavailable", 1.0),
                Check("schema", partial(database.schema, asked), True, SCHEMA, 5.0),
                Check("pool", partial(database.saturation, pools), interval=1.0),
                Check("cache", self._cache, interval=SLOWLY),
                Check("externalApi", self._external, interval=SLOWLY),
                Check("scheduler", found.scheduler, interval=SLOWLY),
                Check("maintenance", promised.done, interval=4 * SLOWLY, deadline=30.0),
                Check("partitions", promised.partitions, interval=4 * SLOWLY, deadline=30.0),
                Check("archive", archive.writable, interval=SLOWLY),
                Check("archiveDisk", archive.disk, interval=SLOWLY),
                Check("transactions", found.transactions, interval=SLOWLY),
                Check("replicas", found.replicas, interval=SLOWLY),
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
        for each in self._connections:
            await each.close()

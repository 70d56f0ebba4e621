"""Everything that is looked at."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

from api.health import database
from api.health.check import Check
from api.health.monitor import Monitor
from api.health.surroundings import Archive, Cache, ExternalApi
from api.pool import Pool
from ops_pipeline import policy
from ops_pipeline.settings import Settings


class Watched:
    """The monitor of everything, and what its checks hold on to."""

    def __init__(self, settings: Settings, pools: Sequence[Pool]) -> None:
        self._ping = database.Ping(settings.database_url or "")
        self._cache = Cache(settings.cache_url)
        self._external = ExternalApi(settings.external_api_url)
        archive = Archive(settings.archive_url)
        policies = policy.load(settings.policies) if settings.policies.exists() else None
        asked = database.Database(settings.database_url or "", settings.dagster_database_url, policies)
        self.monitor = Monitor(
            [
                Check("database", self._ping, critical=True, interval=1.0),
                Check("schema", asked.schema, critical=True, interval=5.0),
                Check("pool", partial(database.saturation, pools), interval=1.0),
                Check("cache", self._cache),
                Check("externalApi", self._external),
                Check("scheduler", asked.scheduler),
                Check("maintenance", asked.maintenance, interval=60.0),
                Check("partitions", asked.partitions, interval=60.0),
                Check("archive", archive.writable),
                Check("archiveDisk", archive.disk),
                Check("transactions", asked.transactions),
                Check("replicas", asked.replicas),
            ]
        )

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Looks at everything while the context lasts."""
        async with self.monitor:
            try:
                yield
            finally:
                await self._cache.close()
                await self._external.close()
        await self._ping.close()

"""The list of all health checks, with the connections and clients that they use."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial

from api.db.pool import Pool
from api.health import database
from api.health.archive import ArchiveChecks
from api.health.check import HealthCheck
from api.health.connection import HealthConnection
from api.health.database import DatabaseChecks
from api.health.dependencies import Cache, ExternalApi
from api.health.forward import ForwardCheck, RecordTargets
from api.health.keys import KeyCheck, RecordKeys
from api.health.maintenance import MaintenanceChecks
from api.health.monitor import Monitor
from api.health.readers import Readers
from api.health.scheduler import SchedulerCheck
from ops_pipeline.serving import background
from ops_pipeline.settings import Settings

SCHEMA = "Schema missing or not migrated to this version: run `opsctl migrate`"

SLOWLY = 15.0
"""The interval in seconds of checks that change slowly or that no request depends on."""


class Watched:
    """The monitor of all checks, the keys that may read its messages, and the checks' connections."""

    def __init__(
        self,
        settings: Settings,
        pools: Mapping[str, Pool],
        record_keys: RecordKeys,
        record_targets: RecordTargets,
    ) -> None:
        url = settings.database_url or ""
        # The first one only for the ping: its latency must be what a request would see.
        self._connections = [HealthConnection(url), HealthConnection(url)]
        pinged, shared = self._connections
        self._cache = Cache(settings.cache_url)
        self._external = ExternalApi(settings.external_api_url)
        archive = ArchiveChecks(settings.archive_url, shared)
        policies = MaintenanceChecks(settings)
        scheduler = SchedulerCheck(settings.dagster_database_url, policies)
        slow = DatabaseChecks(url)
        self.readers = Readers(shared)
        self.monitor = Monitor(
            [
                HealthCheck("database", partial(database.answers, pinged), True, "Database unavailable", 1.0),
                HealthCheck("schema", partial(database.schema, shared), True, SCHEMA, 5.0),
                HealthCheck("pool", partial(database.saturation, pools), interval=1.0),
                HealthCheck("cache", self._cache, interval=SLOWLY),
                HealthCheck("externalApi", self._external, interval=SLOWLY),
                HealthCheck("scheduler", scheduler.starts, interval=SLOWLY, deadline=30.0),
                HealthCheck("maintenance", policies.done, interval=4 * SLOWLY, deadline=30.0),
                HealthCheck("pause", policies.paused, interval=2 * SLOWLY, deadline=30.0),
                HealthCheck("partitions", policies.partitions, interval=4 * SLOWLY, deadline=30.0),
                HealthCheck("archive", archive.writable, interval=SLOWLY),
                HealthCheck("archiveDisk", archive.disk, interval=SLOWLY),
                HealthCheck("keys", KeyCheck(shared, record_keys), interval=4 * SLOWLY),
                HealthCheck("forward", ForwardCheck(shared, record_targets), interval=2 * SLOWLY),
                HealthCheck("transactions", slow.transactions, interval=SLOWLY),
                HealthCheck("replicas", slow.replicas, interval=SLOWLY),
            ]
        )

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Runs the checks until the context ends."""
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

"""The objects that all request handlers share: connection pools, event queue, metrics, process state."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from litestar import Litestar
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from api.audit.query import SharedCursors
from api.audit.queue import AuditQueue
from api.audit.read_trail import ReadTrail
from api.auth.keys import KnownKeys
from api.auth.last_use import LastUse
from api.auth.refusals import Refusals
from api.auth.tail_tokens import TailTokens
from api.db.pool import Pool, Role
from api.health.registry import Watched
from api.limits.limits import Limits
from api.maintenance.plans import Plans
from api.metrics.registry import Metrics
from api.process.lifecycle import Lifecycle
from ops_pipeline.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What handlers need, created once for the process; a handler takes it as `services: Injected`.

    `pools`: the pools, by what their requests do. `pool` is for short reads, `page_pool` keeps its query
    plans, and `login_pool` has the login role's own privileges. `tails`: the open live tails.
    """

    settings: Settings
    lifecycle: Lifecycle
    metrics: Metrics
    pools: Mapping[str, Pool]
    pool: Pool
    page_pool: Pool
    writer_pool: Pool
    login_pool: Pool
    export_pool: Pool
    cursors: SharedCursors
    last_use: LastUse
    limits: Limits
    refusals: Refusals
    known_keys: KnownKeys
    tail_tokens: TailTokens
    audit_queue: AuditQueue
    read_trail: ReadTrail
    plans: Plans
    health: Watched
    tails: set[object] = field(default_factory=set)

    @classmethod
    def made(cls, settings: Settings) -> "Services":
        """The services for the database of `settings`, not connected yet.

        Raises PolicyError when the policies file is invalid.
        """
        metrics = Metrics()
        url = settings.database_url or ""
        pools = {
            # Whatever the others wait for, keys can be checked.
            "keys": Pool(url, metrics.record_query, Role.READER, max_size=2, purpose="checks of keys"),
            "reads": Pool(url, metrics.record_query, Role.READER, purpose="reads"),
            "pages": Pool(url, metrics.record_query, Role.READER, keep_plans=True, purpose="pages"),
            "writes": Pool(url, metrics.record_query, Role.WRITER, purpose="writes"),
            # An export keeps its connection while the client reads.
            "exports": Pool(url, metrics.record_query, Role.READER, max_size=4, purpose="exports"),
            # The application's tables may be newer than the migration that granted privileges to the
            # reader role.
            "metrics": Pool(url, metrics.record_query, max_size=2, purpose="metrics"),
        }
        cursors = SharedCursors(pools["reads"])
        tail_tokens = TailTokens(cursors.get)
        last_use = LastUse(pools["writes"])
        limits = Limits(settings)
        audit_queue = AuditQueue(pools["writes"], metrics.record_query, metrics.record_llm_request)
        refusals = Refusals(audit_queue, settings.trusted_proxies or ())
        return cls(
            settings=settings,
            lifecycle=Lifecycle(),
            metrics=metrics,
            pools=pools,
            pool=pools["reads"],
            page_pool=pools["pages"],
            writer_pool=pools["writes"],
            login_pool=pools["metrics"],
            export_pool=pools["exports"],
            cursors=cursors,
            last_use=last_use,
            limits=limits,
            refusals=refusals,
            known_keys=KnownKeys(pools["keys"], last_use, limits, refusals, tail_tokens),
            tail_tokens=tail_tokens,
            audit_queue=audit_queue,
            read_trail=ReadTrail(audit_queue, settings.trusted_proxies or ()),
            plans=Plans(settings),
            health=Watched(settings, pools, metrics.record_keys, metrics.record_targets),
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Connects and runs the background tasks until the context ends."""
        async with AsyncExitStack() as stack:
            for pool in self.pools.values():
                await stack.enter_async_context(pool)
            async with self.last_use, self.audit_queue, self.refusals, self.health.watching():
                yield


Injected = SkipValidation[NamedDependency[Services]]
"""The type of a handler's parameter `services`."""


def services_of(app: Litestar) -> Services:
    """The services of the application."""
    services: Services = app.state.services
    return services

"""The application: routes, state, and what holds for all of them."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from litestar import Litestar
from litestar.datastructures import State
from litestar.types import ASGIApp

from api import audit, export, ingest, maintenance, metrics, openapi, problems, summary, tail
from api.asked import SharedCursors
from api.auth import KnownKeys
from api.body import MOST_BYTES
from api.health.everything import Watched
from api.health.routes import router as health_router
from api.last_use import LastUse
from api.lifecycle import Lifecycle
from api.observed import Observed
from api.plans import Plans
from api.pool import Pool, Role
from api.shortcut import Shortcut
from api.writer import AuditWriter
from ops_pipeline.settings import Settings


def create_app(settings: Settings) -> Litestar:
    """The API over the database that `settings` name; they come from `embedded.resolved`.

    The database may be away: the application starts, and says so until it is back.
    """
    counted = metrics.Metrics()
    url = settings.database_url or ""
    pool = Pool(url, counted.note_query, Role.READER)
    kept_plans_pool = Pool(url, counted.note_query, Role.READER, keep_plans=True)
    writer_pool = Pool(url, counted.note_query, Role.WRITER)
    # The application's tables may be younger than what the migrations let the reader read.
    login_pool = Pool(url, counted.note_query, max_size=2)
    # An export keeps its connection for as long as the client reads.
    export_pool = Pool(url, counted.note_query, Role.READER, max_size=4)
    last_use = LastUse(writer_pool)
    audit_writer = AuditWriter(writer_pool, counted.note_query, counted.note_llm_request)
    pools = {
        "reads": pool,
        "reads pages": kept_plans_pool,
        "writes": writer_pool,
        "exports": export_pool,
        "is scraped": login_pool,
    }
    watched = Watched(settings, pools)

    @asynccontextmanager
    async def connected(_: Litestar) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for each in pools.values():
                await stack.enter_async_context(each)
            async with last_use, audit_writer, watched.watching():
                yield

    return Litestar(
        route_handlers=[
            ingest.router,
            audit.router,
            export.router,
            tail.router,
            summary.router,
            maintenance.router,
            health_router,
            metrics.metrics,
        ],
        exception_handlers=problems.HANDLERS,
        lifespan=[connected],
        state=State(
            {
                "pool": pool,
                "kept_plans_pool": kept_plans_pool,
                "writer_pool": writer_pool,
                "audit_writer": audit_writer,
                "details_max_bytes": settings.audit_details_max_bytes,
                "cursors": SharedCursors(pool),
                "export_pool": export_pool,
                "tails": set(),
                "login_pool": login_pool,
                "known_keys": KnownKeys(pool, last_use),
                "plans": Plans(settings),
                "metrics": counted,
                "url": url,
                "lifecycle": Lifecycle(),
                "monitor": watched.monitor,
                "health_readers": watched.readers,
            }
        ),
        request_max_body_size=MOST_BYTES,
        openapi_config=openapi.config(),
        logging_config=None,
    )


def observed(app: Litestar) -> ASGIApp:
    """The application with every request measured and logged, as a server is given it."""
    return Observed(Shortcut(app), app.state.metrics, app.state.lifecycle)

"""Builds the Litestar application: its routes, error handlers and shared services."""

from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.di import Provide
from litestar.types import ASGIApp

from api import described, openapi, parameters, problems
from api.audit import export, ingest, summary, tail, tail_token
from api.audit import routes as audit
from api.audit.body import MOST_BYTES
from api.audit.fast_path import FastPath
from api.audit.query import read_query
from api.exact_path import ExactPath
from api.head import HeadAsGet
from api.health import routes as health
from api.limits.released import Released
from api.maintenance import routes as maintenance
from api.metrics import routes as metrics
from api.metrics.middleware import Middleware
from api.services import Services, services_of
from ops_pipeline.settings import Settings

AUDIT_READS = Router(
    audit.PATH,
    route_handlers=[
        audit.find_events,
        audit.get_event,
        export.export,
        tail.tail,
        tail_token.create_token,
        summary.summarize,
    ],
    dependencies={"audit_query": Provide(read_query)},
    tags=["audit"],
    security=openapi.KEY,
)


def create_app(settings: Settings) -> Litestar:
    """The API for the database of `settings`, which come from `embedded.resolved`.

    The application starts even when the database does not answer, and reports not ready until it does.
    """
    services = Services.made(settings)
    known_parameters = parameters.Known()
    return Litestar(
        route_handlers=[
            ingest.store,
            AUDIT_READS,
            maintenance.router,
            health.router,
            metrics.metrics,
        ],
        exception_handlers=problems.HANDLERS,
        dependencies={"services": Provide(lambda: services, sync_to_thread=False)},
        guards=[services.known_keys.require_scope, known_parameters.refuse_unknown],
        on_startup=[known_parameters.read],
        lifespan=[lambda _: services.running()],
        state=State({"services": services}),
        request_max_body_size=MOST_BYTES,
        openapi_config=openapi.config(),
        plugins=[described.DescribedFields()],
        logging_config=None,
    )


def observed(app: Litestar) -> ASGIApp:
    """The application as the server runs it: every request is measured and logged."""
    services = services_of(app)
    handled = Released(ExactPath(FastPath(HeadAsGet(app), services)))
    return Middleware(handled, services.metrics, services.lifecycle)

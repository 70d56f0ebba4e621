"""The probes: alive, ready, started, and everything at once."""

from typing import Annotated, Any

from litestar import Request, Response, Router, get
from litestar.datastructures import State
from litestar.params import FromPath, QueryParameter

from api import openapi
from api.health.answer import HEADERS, HEALTH_JSON, Told, answered, listed, overall
from api.health.check import Check
from api.problems import Problem
from ops_pipeline import __version__

UNWELL = {
    503: openapi.shown(dict[str, Any], "Not well; the body says what is wrong, in the form of the 200"),
    **openapi.refused(400, 404, 500),
}
EITHER_FORM = openapi.also_as(HEALTH_JSON)

Exclude = Annotated[
    list[str] | None,
    QueryParameter(description="Checks to leave out of the verdict, separated by commas or given again"),
]
Verbose = Annotated[
    str | None,
    QueryParameter(
        description="Also when each check was made and where the runbook speaks of it; `?verbose` is enough. "
        "With a key that has the scope maintenance:read, also what it found, in words"
    ),
]
Asking = Request[Any, Any, State]


@get(
    ["/health/live", "/livez"],
    operation_id=openapi.last_part,
    operation_class=EITHER_FORM,
    summary="Is the process alive",
    responses=openapi.refused(500),
)
async def live(request: Asking, state: State) -> Response[dict[str, Any]]:
    """Touches nothing else: a database that is down is no reason to restart this process."""
    return answered(request, 200, "alive", "pass", uptime=state.lifecycle.uptime)


@get(
    ["/health/ready", "/readyz"],
    operation_id=openapi.last_part,
    operation_class=EITHER_FORM,
    summary="May requests be sent here",
    responses=UNWELL,
)
async def ready(
    request: Asking, state: State, exclude: Exclude = None, verbose: Verbose = None
) -> Response[dict[str, Any]]:
    """Yes while what no request can do without is there and the process is not shutting down."""
    told = _told(request, state, [check for check in _included(state, exclude) if check.critical])
    details = {"checks": told.described(verbose=True)} if verbose is not None else {}
    if state.lifecycle.draining:
        return answered(request, 503, "not_ready", "fail", told, reason="Shutting down", **details)
    if failed := told.failed:
        return answered(request, 503, "not_ready", "fail", told, reason=failed[0].reason, **details)
    latency = state.monitor.result("database").latency_ms
    return answered(request, 200, "ready", "pass", told, database_latency_ms=latency, **details)


@get(
    "/health/startup",
    operation_id="startup",
    operation_class=EITHER_FORM,
    summary="Have settings and schema been checked",
    responses=UNWELL,
)
async def startup(request: Asking, state: State) -> Response[dict[str, Any]]:
    """Settings are checked before the process listens; the schema has been found right once, or not yet."""
    if state.monitor.started:
        return answered(request, 200, "started", "pass")
    reason = "The database and its schema have not been found yet"
    return answered(request, 503, "not_started", "fail", reason=reason)


@get(
    ["/health/full", "/healthz"],
    operation_id=openapi.last_part,
    operation_class=EITHER_FORM,
    summary="The state of everything this depends on",
    responses=UNWELL,
)
async def full(
    request: Asking, state: State, exclude: Exclude = None, verbose: Verbose = None
) -> Response[dict[str, Any]]:
    """503 only when unhealthy: something is down that no request can do without."""
    told = _told(request, state, _included(state, exclude))
    status, in_draft = overall(told.failed)
    return answered(
        request,
        503 if status == "unhealthy" else 200,
        status,
        in_draft,
        told,
        uptime=state.lifecycle.uptime,
        version=__version__,
        checks=told.described(verbose=verbose is not None),
    )


@get(
    "/health/full/{name:str}",
    operation_id="fullCheck",
    operation_class=EITHER_FORM,
    summary="One check alone",
    responses=UNWELL,
)
async def one(request: Asking, state: State, name: FromPath[str]) -> Response[dict[str, Any]]:
    """503 when it has failed, whatever that means for the rest."""
    told = _told(request, state, _named(state, [name], 404))
    described = told.described(verbose=True)[name]
    failed = bool(told.failed)
    return answered(
        request, 503 if failed else 200, described.pop("status"), "fail" if failed else "pass", told,
        name=name, **described,
    )  # fmt: skip


def _told(request: Asking, state: State, checks: list[Check]) -> Told:
    results = {check.name: state.monitor.result(check.name) for check in checks}
    knows_key = state.health_readers.include(request.headers.get("Authorization", ""))
    return Told(checks, results, in_words=knows_key)


def _included(state: State, exclude: list[str] | None) -> list[Check]:
    left_out = {check.name for check in _named(state, listed(exclude or []), 400)}
    return [check for check in state.monitor.checks.values() if check.name not in left_out]


def _named(state: State, names: list[str], otherwise: int) -> list[Check]:
    checks = state.monitor.checks
    for name in names:
        if name not in checks:
            reason = f"there is no check {name!r}; there is: {', '.join(checks)}"
            field = "check" if otherwise == 404 else "exclude"
            raise Problem(otherwise, reason, [{"field": field, "reason": reason}], headers=HEADERS)
    return [checks[name] for name in names]


router = Router("/", route_handlers=[live, ready, startup, full, one], tags=["health"])

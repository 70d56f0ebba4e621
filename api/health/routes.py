"""The health probes: live, ready, startup, full, and single checks."""

from typing import Annotated, Any

import msgspec
from litestar import Response, Router, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import PathParameter, QueryParameter

from api import openapi
from api.auth.keys import sent_key
from api.health.check import HealthCheck
from api.health.response import (
    HEADERS,
    HEALTH_JSON,
    Alive,
    Findings,
    Full,
    HealthDraft,
    OneCheck,
    Readiness,
    answered,
    listed,
    now,
    overall,
)
from api.problems import AnyRequest, invalid
from api.services import Injected, Services
from ops_pipeline import __version__

Exclude = Annotated[
    list[str] | None,
    QueryParameter(description="Checks to ignore, separated by commas or in repeated parameters"),
]
Verbose = Annotated[
    str | None,
    QueryParameter(
        description="Also show when each check was run and its section in the runbook; `?verbose` is enough. "
        "With a key that has the scope maintenance:read, also its message"
    ),
]


def _probe(
    path: str, *other_paths: str, summary: str, answer: Any, operation_id: str = ""
) -> HTTPRouteHandler:
    failed = "The check failed; the body has the same form as for 200 and names the problem"
    return get(
        [path, *other_paths],
        operation_id=operation_id or openapi.last_part,
        operation_class=openapi.also_as(HEALTH_JSON),
        summary=summary,
        responses={
            200: openapi.success(answer | HealthDraft, "The check passed"),
            503: openapi.success(answer | HealthDraft, failed),
            **openapi.refused(400, 404, 500),
        },
    )


@get(
    ["/health/live", "/livez"],
    operation_id=openapi.last_part,
    operation_class=openapi.also_as(HEALTH_JSON),
    summary="Liveness: is the process alive?",
    responses={
        200: openapi.success(Alive | HealthDraft, "The process is alive"),
        **openapi.refused(400, 500),
    },
)
async def live(
    request: AnyRequest,
    services: Injected,
    exclude: Exclude = None,  # noqa: ARG001 - part of the route's description
    verbose: Verbose = None,  # noqa: ARG001
) -> Response[Alive | HealthDraft]:
    """Checks only the process: restarting it does not help when the database is down. It has no checks, so
    `exclude` and `verbose`, which probes send to every tier, change nothing."""
    return answered(request, 200, Alive(uptime=services.lifecycle.uptime, timestamp=now()), "pass")


@_probe("/health/ready", "/readyz", summary="Readiness: can it serve requests?", answer=Readiness)
async def ready(
    request: AnyRequest, services: Injected, exclude: Exclude = None, verbose: Verbose = None
) -> Response[Readiness | HealthDraft]:
    """200 while all critical checks are ok and the process is not shutting down."""
    critical = [check for check in _included(services, exclude) if check.critical]
    findings = _findings(request, services, critical)
    checks = findings.states(verbose=True) if verbose is not None else msgspec.UNSET
    failed = findings.failed
    reason = failed[0].reason if failed else None
    if services.lifecycle.draining:
        reason = "Shutting down"
    latency = services.health.monitor.result("database").latency_ms
    answer = Readiness(
        status="ready" if reason is None else "not_ready",
        reason=msgspec.UNSET if reason is None else reason,
        database_latency_ms=latency if reason is None else msgspec.UNSET,
        checks=checks,
        timestamp=now(),
    )
    return answered(
        request, 200 if reason is None else 503, answer, "pass" if reason is None else "fail", findings
    )


@_probe("/health/startup", summary="Startup: was the schema found?", answer=Readiness)
async def startup(
    request: AnyRequest,
    services: Injected,
    exclude: Exclude = None,  # noqa: ARG001 - as `live`
    verbose: Verbose = None,  # noqa: ARG001
) -> Response[Readiness | HealthDraft]:
    """200 once all critical checks were ok. Settings are checked before the process listens. `exclude` and
    `verbose` change nothing."""
    started = services.health.monitor.started
    answer = Readiness(
        status="started" if started else "not_started",
        reason=msgspec.UNSET if started else "The database or its schema is not ready yet",
        timestamp=now(),
    )
    return answered(request, 200 if started else 503, answer, "pass" if started else "fail")


@_probe("/health/full", "/healthz", summary="The state of all checks", answer=Full)
async def full(
    request: AnyRequest, services: Injected, exclude: Exclude = None, verbose: Verbose = None
) -> Response[Full | HealthDraft]:
    """503 only when unhealthy: a critical check has failed."""
    findings = _findings(request, services, _included(services, exclude))
    status, draft_status = overall(findings.failed)
    answer = Full(
        status=status,
        uptime=services.lifecycle.uptime,
        version=__version__,
        checks=findings.states(verbose=verbose is not None),
        timestamp=now(),
    )
    return answered(request, 503 if status == "unhealthy" else 200, answer, draft_status, findings)


@_probe(
    "/health/full/{name:str}", summary="The state of one check", answer=OneCheck, operation_id="fullCheck"
)
async def one_check(
    request: AnyRequest,
    services: Injected,
    name: Annotated[str, PathParameter(description="The check, as /health/full names it")],
    verbose: Verbose = None,  # noqa: ARG001 - a single check is always shown in full
) -> Response[OneCheck | HealthDraft]:
    """503 when the check has failed, whether or not it is critical. `verbose` changes nothing."""
    findings = _findings(request, services, _named(services, [name], 404))
    state = msgspec.structs.asdict(findings.states(verbose=True)[name])
    failed = bool(findings.failed)
    answer = OneCheck(name=name, timestamp=now(), **state)
    return answered(request, 503 if failed else 200, answer, "fail" if failed else "pass", findings)


def _findings(request: AnyRequest, services: Services, checks: list[HealthCheck]) -> Findings:
    results = {check.name: services.health.monitor.result(check.name) for check in checks}
    in_words = services.health.readers.include(sent_key(request.headers))
    return Findings(checks, results, in_words=in_words)


def _included(services: Services, exclude: list[str] | None) -> list[HealthCheck]:
    excluded = {check.name for check in _named(services, listed(exclude or []), 400)}
    return [check for check in services.health.monitor.checks.values() if check.name not in excluded]


def _named(services: Services, names: list[str], otherwise: int) -> list[HealthCheck]:
    checks = services.health.monitor.checks
    for name in names:
        if name not in checks:
            reason = f"check {name!r} does not exist; the checks are: {', '.join(checks)}"
            raise invalid("check" if otherwise == 404 else "exclude", reason, otherwise, headers=HEADERS)
    return [checks[name] for name in names]


router = Router("/", route_handlers=[live, ready, startup, full, one_check], tags=["health"])

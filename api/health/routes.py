"""The probes: alive, ready, started, and everything at once."""

from datetime import UTC, datetime
from typing import Annotated, Any

from litestar import Request, Response, Router, get
from litestar.datastructures import State
from litestar.params import FromPath, QueryParameter

from api import openapi
from api.health.check import Check, Result
from api.problems import Problem
from ops_pipeline import __version__

NO_STORE = {"Cache-Control": "no-store"}
HEALTH_JSON = "application/health+json"
DRAFT_STATUS = {"ok": "pass", "error": "fail", "not_configured": "pass"}
DRAFT_OVERALL = {"healthy": "pass", "degraded": "warn", "unhealthy": "fail"}

UNWELL = {
    503: openapi.shown(dict[str, Any], "Not well; the body says what is wrong, in the form of the 200"),
    **openapi.refused(400, 404, 500),
}

Exclude = Annotated[
    str | None, QueryParameter(description="Checks to leave out of the verdict, separated by commas")
]
Verbose = Annotated[
    str | None, QueryParameter(description="Also what each check found, in words; `?verbose` is enough")
]


@get(
    ["/health/live", "/livez"],
    operation_id=openapi.last_part,
    summary="Is the process alive",
    responses=openapi.refused(500),
)
async def live(state: State) -> Response[dict[str, Any]]:
    """Touches nothing else: a database that is down is no reason to restart this process."""
    return _answer(200, status="alive", uptime=state.lifecycle.uptime)


@get(
    ["/health/ready", "/readyz"],
    operation_id=openapi.last_part,
    summary="May requests be sent here",
    responses=UNWELL,
)
async def ready(state: State, exclude: Exclude = None, verbose: Verbose = None) -> Response[dict[str, Any]]:
    """Yes while what no request can do without is there and the process is not shutting down."""
    checks = [check for check in _included(state, exclude) if check.critical]
    details = {"checks": _described(state, checks, verbose=True)} if verbose is not None else {}
    if state.lifecycle.draining:
        return _answer(503, status="not_ready", reason="Shutting down", **details)
    failed = [check for check in checks if _failed(state, check)]
    if failed:
        return _answer(503, status="not_ready", reason=_reason(state, failed[0]), **details)
    latency = state.monitor.result("database").latency_ms
    return _answer(200, status="ready", database_latency_ms=latency, **details)


@get(
    "/health/startup",
    operation_id="startup",
    summary="Have settings and schema been checked",
    responses=UNWELL,
)
async def startup(state: State) -> Response[dict[str, Any]]:
    """Settings are checked before the process listens; the schema has been found right once, or not yet."""
    if not state.started:
        state.started = not any(
            _failed(state, check) for check in state.monitor.checks.values() if check.critical
        )
    if state.started:
        return _answer(200, status="started")
    return _answer(503, status="not_started", reason="The database and its schema have not been found yet")


@get(
    ["/health/full", "/healthz"],
    operation_id=openapi.last_part,
    operation_class=openapi.also_as(HEALTH_JSON),
    summary="The state of everything this depends on",
    responses=UNWELL,
)
async def full(
    request: Request[Any, Any, State], state: State, exclude: Exclude = None, verbose: Verbose = None
) -> Response[dict[str, Any]]:
    """503 only when unhealthy: something is down that no request can do without."""
    checks = _included(state, exclude)
    failed = [check for check in checks if _failed(state, check)]
    status = "healthy"
    if failed:
        status = "unhealthy" if any(check.critical for check in failed) else "degraded"
    status_code = 503 if status == "unhealthy" else 200
    if HEALTH_JSON in request.headers.get("Accept", ""):
        return _draft(state, checks, status, status_code)
    return _answer(
        status_code,
        status=status,
        uptime=state.lifecycle.uptime,
        version=__version__,
        checks=_described(state, checks, verbose=verbose is not None),
    )


@get("/health/full/{name:str}", operation_id="fullCheck", summary="One check alone", responses=UNWELL)
async def one(state: State, name: FromPath[str]) -> Response[dict[str, Any]]:
    """503 when it has failed, whatever that means for the rest."""
    (check,) = _named(state, [name])
    described = _described(state, [check], verbose=True)[name]
    return _answer(503 if _failed(state, check) else 200, name=name, **described)


def _included(state: State, exclude: str | None) -> list[Check]:
    left_out = {check.name for check in _named(state, exclude.split(",") if exclude else [])}
    return [check for check in state.monitor.checks.values() if check.name not in left_out]


def _named(state: State, names: list[str]) -> list[Check]:
    checks = state.monitor.checks
    for name in names:
        if name not in checks:
            reason = f"there is no check {name!r}; there is: {', '.join(checks)}"
            raise Problem(404 if len(names) == 1 else 400, reason, [{"field": "check", "reason": reason}])
    return [checks[name] for name in names]


def _failed(state: State, check: Check) -> bool:
    result: Result = state.monitor.result(check.name)
    return result.finding.status == "error"


def _reason(state: State, check: Check) -> str:
    # What the driver said may name hosts and users; a probe needs no more than what is missing.
    if check.name == "database" and "Schema missing" not in state.monitor.result("database").finding.message:
        return "Database unavailable"
    return str(state.monitor.result(check.name).finding.message)


def _described(state: State, checks: list[Check], *, verbose: bool) -> dict[str, dict[str, Any]]:
    described: dict[str, dict[str, Any]] = {}
    for check in checks:
        result: Result = state.monitor.result(check.name)
        described[check.name] = {"status": result.finding.status, "latency": result.latency_ms}
        if verbose:
            described[check.name] |= {
                "critical": check.critical,
                "checked_at": _iso(result.checked_at),
                "message": result.finding.message,
                "runbook": check.runbook,
            }
    return described


def _draft(state: State, checks: list[Check], status: str, status_code: int) -> Response[dict[str, Any]]:
    """The form of the IETF draft draft-inadarei-api-health-check, "Health Check Response Format"."""
    content: dict[str, Any] = {
        "status": DRAFT_OVERALL[status],
        "version": __version__.split(".")[0],
        "releaseId": __version__,
        "checks": {
            f"{check.name}:responseTime": [
                {
                    "status": DRAFT_STATUS[state.monitor.result(check.name).finding.status],
                    "observedValue": state.monitor.result(check.name).latency_ms,
                    "observedUnit": "ms",
                    "time": _iso(state.monitor.result(check.name).checked_at),
                }
            ]
            for check in checks
        },
    }
    return Response(content, status_code=status_code, headers=NO_STORE, media_type=HEALTH_JSON)


def _answer(status_code: int, **content: Any) -> Response[dict[str, Any]]:
    content["timestamp"] = _iso(datetime.now(UTC))
    return Response(content, status_code=status_code, headers=NO_STORE)


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


router = Router("/", route_handlers=[live, ready, startup, full, one], tags=["health"])

"""GET /api/admin/maintenance: past runs, and the plan of the next one."""

from datetime import datetime
from typing import Annotated, Any, get_type_hints

import msgspec
from litestar import Response, Router, get
from litestar.params import QueryParameter

import sql
from api import openapi
from api.audit.page import Page, from_database, page
from api.auth.caller import caller_of
from api.problems import AnyRequest
from api.services import Injected
from ops_pipeline.maintenance.kinds import KINDS
from ops_pipeline.maintenance.plan import Unplanned


class Throttled(msgspec.Struct, frozen=True):
    """How often and how long a run was throttled for one reason."""

    count: int
    seconds: float


class MaintenanceRun(msgspec.Struct, frozen=True):
    """What one policy did in one run."""

    id: int
    policy: str
    started_at: datetime
    finished_at: datetime | None
    cutoff: datetime | None
    rows_scanned: int
    rows_removed: int
    rows_remaining: int | None
    outcome: str
    stopped_reason: str | None
    dagster_run_id: str | None
    method: str | None
    rows_planned: int | None
    rows_archived: int
    bytes_removed: int
    wal_bytes: int
    working_seconds: float
    throttled: dict[str, Throttled]
    throttle_reason: str | None
    throttled_since: datetime | None
    progress_at: datetime | None
    rows_a_second: float | None
    seconds_remaining: float | None
    details: dict[str, Any]


class RunPage(Page, frozen=True, kw_only=True):
    """The newest runs."""

    data: list[MaintenanceRun]


def _planned_policy() -> type[msgspec.Struct]:
    """One type for the plans of all kinds, or the `problem` of a policy without one; only `policy` is
    required.

    A field whose type a kind narrows has the wider type.
    """
    plans = [*(get_type_hints(kind.plan)["return"] for kind in KINDS), Unplanned]
    types: dict[str, Any] = {}
    for plan in plans:
        for model in reversed(plan.__mro__):
            types = get_type_hints(model) | types
    fields = [
        (name, kind | msgspec.UnsetType, msgspec.UNSET) for name, kind in types.items() if name != "policy"
    ]
    doc = "The plan of one policy, of any kind, or the `problem` of a policy without one."
    return msgspec.defstruct(
        "PlannedPolicy", [("policy", str), *fields], namespace={"__doc__": doc}, frozen=True, kw_only=True
    )


class PlanPage(Page, frozen=True, kw_only=True):
    """The plan of each policy."""

    data: list[_planned_policy()]  # type: ignore[valid-type]  # made of the kinds


@get(
    "/runs",
    operation_id="listMaintenanceRuns",
    summary="List maintenance runs",
    responses={200: openapi.success(RunPage, "The newest runs"), **openapi.behind_key()},
)
async def runs(
    request: AnyRequest,
    services: Injected,
    policy: Annotated[
        str | None, QueryParameter(description="Only this policy, such as app/retention/sessions")
    ] = None,
    limit: Annotated[int, QueryParameter(ge=1, description="At most 1000; larger values mean 1000")] = 100,
) -> Response[bytes]:
    """The runs of the policies, newest first."""
    values = {"policy": policy, "limit": min(limit, 1000)}
    key = caller_of(request.scope)
    async with services.limits.reading(key.id):
        ((data, count),) = await services.pool.rows("select", sql.get("api/maintenance/list_runs"), values)
    return page(RunPage, from_database(data), count)


@get(
    "/plan",
    operation_id="planMaintenance",
    summary="Plan what a run would delete now, and whether it needs approval",
    responses={200: openapi.success(PlanPage, "Every policy"), **openapi.behind_key()},
)
async def plan(services: Injected) -> Response[bytes]:
    """Every policy in the order of a run. The rows of a policy are counted for at most five seconds; after
    that they are estimated from a sample (`exact` is false)."""
    plans = await services.plans.now()
    return page(PlanPage, plans, len(plans))


router = Router(
    "/api/admin/maintenance",
    route_handlers=[runs, plan],
    opt={"scope": "maintenance:read"},
    tags=["maintenance"],
    security=openapi.KEY,
)

"""What maintenance has done, and what it would do now."""

from typing import Annotated

import msgspec
from litestar import Response, Router, get
from litestar.datastructures import State
from litestar.params import QueryParameter

import sql
from api import openapi
from api.auth import require_scope
from api.page import page


@get(
    "/runs",
    operation_id="listMaintenanceRuns",
    summary="What ran and what it did",
    opt={"scope": "maintenance:read"},
    security=openapi.KEY,
    responses={200: openapi.shown(openapi.RunPage, "The newest runs"), **openapi.behind_key()},
)
async def runs(
    state: State,
    policy: Annotated[
        str | None, QueryParameter(description="Only this policy, as app/retention/sessions")
    ] = None,
    limit: Annotated[int, QueryParameter(ge=1, description="At most so many, 1000 at the most")] = 100,
) -> Response[bytes]:
    """The newest runs of the policies, the newest first."""
    values = {"policy": policy, "limit": min(limit, 1000)}
    ((data, count),) = await state.pool.rows("select", sql.get("history/list_runs"), values)
    return page(data, count, None)


@get(
    "/plan",
    operation_id="planMaintenance",
    summary="What would be removed now, and whether the guard would let it",
    opt={"scope": "maintenance:read"},
    security=openapi.KEY,
    responses={200: openapi.shown(openapi.PlanPage, "Every policy"), **openapi.behind_key()},
)
async def plan(state: State) -> Response[bytes]:
    """Every policy in the order of a night. Counting takes time: rows of one policy are counted for five
    seconds, then a sample has to do (`exact` is false)."""
    planned = await state.plans.now()
    return page(msgspec.json.encode(planned).decode(), len(planned), None)


router = Router(
    "/api/admin/maintenance", route_handlers=[runs, plan], guards=[require_scope], tags=["maintenance"]
)

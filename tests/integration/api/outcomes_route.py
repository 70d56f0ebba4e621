"""A route in one file: how many runs ended with which outcome. CONTRIBUTING.md shows it."""

from typing import Annotated

import msgspec
from litestar import MediaType, Response, get
from litestar.params import QueryParameter

from api import openapi
from api.services import Injected

STATEMENT = """
SELECT outcome, count(*) FROM ops.maintenance_runs
WHERE started_at > now() - make_interval(days => %(days)s) GROUP BY outcome
"""


class Outcomes(msgspec.Struct, frozen=True):
    """The number of runs by outcome."""

    success: bool
    data: dict[str, int]


@get(
    "/api/admin/maintenance/outcomes",
    operation_id="countOutcomes",
    summary="How many runs ended with which outcome",
    opt={"scope": "maintenance:read"},
    tags=["maintenance"],
    security=openapi.KEY,
    responses={200: openapi.success(Outcomes, "Runs by outcome"), **openapi.behind_key()},
)
async def count_outcomes(
    services: Injected,
    days: Annotated[int, QueryParameter(ge=1, le=365, description="How many days back")] = 7,
) -> Response[bytes]:
    rows = await services.pool.rows("select", STATEMENT, {"days": days})
    return Response(msgspec.json.encode(Outcomes(True, dict(rows))), media_type=MediaType.JSON)

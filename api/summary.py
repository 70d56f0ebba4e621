"""Events per stretch of time, for a histogram."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from litestar import Request, Response, Router, get
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.params import QueryParameter, SkipValidation

from api import openapi
from api.access import note_read
from api.asked import Asked, asked, mistaken
from api.audit import answered
from api.auth import require_scope
from api.page import page
from ops_pipeline.audit.cursor import EPOCH
from ops_pipeline.audit.filters import question

By = Literal["eventType", "status", "action"]
Bucket = Literal["1m", "5m", "1h", "1d"]

COLUMNS = {"eventType": "event_type", "status": "status", "action": "action"}
WIDTHS = {
    "1m": timedelta(minutes=1),
    "5m": timedelta(minutes=5),
    "1h": timedelta(hours=1),
    "1d": timedelta(days=1),
}
MOST_BUCKETS = 1_000
USUAL_BUCKETS = 100


@get(
    "/api/admin/audit-logs/summary",
    operation_id="summariseAuditEvents",
    summary="Events per stretch of time, by type, status or action",
    description="Buckets are in UTC and named by their beginning; an empty one is left out. Without "
    "`startDate` the 100 buckets up to the end are counted.",
    opt={"scope": "audit:read", "parameters": ("by", "bucket")},
    guards=[require_scope],
    dependencies={"about": Provide(asked)},
    tags=["audit"],
    security=openapi.KEY,
    responses={
        200: openapi.shown(openapi.Summary, "The buckets, the earliest first"),
        **openapi.behind_key(),
    },
)
async def summarise(
    request: Request[Any, Any, State],
    state: State,
    about: SkipValidation[NamedDependency[Asked]],
    by: Annotated[By, QueryParameter(description="What is told apart in each bucket")] = "eventType",
    bucket: Annotated[Bucket, QueryParameter(description="How long each is; 1000 at the most")] = "1h",
) -> Response[bytes]:
    """`data` is `[{bucket, total, counts: [{value, count}]}]`, of the 20 most frequent values."""
    width = WIDTHS[bucket]
    end = about.filters.end_date or datetime.now(UTC)
    start = about.filters.start_date or max(EPOCH, end - USUAL_BUCKETS * width)
    _check(start, end, width)
    # The answer is about a whole period, so without an end it ends now.
    within = replace(about.filters, start_date=start, end_date=end)
    asking = question("summary", within, column=(COLUMNS[by],))
    ((data, count),) = await answered(state, replace(asking, values={**asking.values, "width": width}))
    await note_read(request, "audit.summary", {**about.given, "by": by, "bucket": bucket}, count)
    return page(data, count, None)


def _check(start: datetime, end: datetime, width: timedelta) -> None:
    if start > end:
        raise mistaken("startDate", f"{start.isoformat()} is later than the end, {end.isoformat()}")
    # A period that begins within a bucket touches one more.
    buckets = (end - EPOCH) // width - (start - EPOCH) // width + 1
    if buckets > MOST_BUCKETS:
        wider = [name for name, each in WIDTHS.items() if (end - start) // each + 2 <= MOST_BUCKETS]
        advice = f"or take bucket={wider[0]}" if wider else "no bucket is long enough for it"
        reason = f"the period has {buckets} buckets, {MOST_BUCKETS} is the most; shorten it, {advice}"
        raise mistaken("bucket", reason)


router = Router("/", route_handlers=[summarise])

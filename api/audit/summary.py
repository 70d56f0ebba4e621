"""GET /api/admin/audit-logs/summary: counts events per time bucket."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

import msgspec
from litestar import Response, get
from litestar.params import QueryParameter

from api import openapi
from api.audit.page import Page, from_database, page
from api.audit.query import InjectedQuery
from api.audit.routes import select
from api.auth.caller import caller_of
from api.limits.limits import MANY_DAYS
from api.problems import AnyRequest, invalid
from api.services import Injected
from ops_pipeline.audit.cursor import EPOCH
from ops_pipeline.audit.filters import question

By = Literal["eventType", "status", "action"]
Width = Literal["1m", "5m", "1h", "1d"]

COLUMNS = {"eventType": "event_type", "status": "status", "action": "action"}
WIDTHS = {
    "1m": timedelta(minutes=1),
    "5m": timedelta(minutes=5),
    "1h": timedelta(hours=1),
    "1d": timedelta(days=1),
}
MOST_BUCKETS = 1_000
USUAL_BUCKETS = 100
EARLIEST = datetime.min.replace(tzinfo=UTC)


class ValueCount(msgspec.Struct, frozen=True):
    """The number of events with that value."""

    value: str | None
    count: int


class Bucket(msgspec.Struct, frozen=True):
    """The number of events in a time bucket; `bucket` is its start."""

    bucket: datetime
    total: int
    counts: list[ValueCount]


class Summary(Page, frozen=True, kw_only=True):
    """Events per time bucket."""

    data: list[Bucket]


@get(
    "/summary",
    operation_id="summarizeAuditEvents",
    summary="Count events per time bucket, by type, status or action",
    description="`bucket` is the start of the bucket in UTC; empty buckets are left out. Without "
    "`startDate` the last 100 buckets are counted.",
    opt={"scope": "audit:read"},
    responses={
        200: openapi.success(Summary, "The buckets, earliest first"),
        **openapi.behind_key(),
    },
)
async def summarize(
    request: AnyRequest,
    services: Injected,
    audit_query: InjectedQuery,
    by: Annotated[By, QueryParameter(description="The field whose values are counted")] = "eventType",
    bucket: Annotated[
        Width, QueryParameter(description="The length of a bucket; at most 1000 buckets")
    ] = "1h",
) -> Response[bytes]:
    """`data` is `[{bucket, total, counts: [{value, count}]}]`, with the 20 most frequent values."""
    width = WIDTHS[bucket]
    end = audit_query.filters.end_date or datetime.now(UTC)
    start = audit_query.filters.start_date or end - min(USUAL_BUCKETS * width, end - EARLIEST)
    _check(start, end, width)
    # A summary covers a closed period: without an end it ends now.
    within = replace(audit_query.filters, start_date=start, end_date=end)
    selection = question("summary", within, column=(COLUMNS[by],))
    selection = replace(selection, values={**selection.values, "width": width})
    key = caller_of(request.scope)
    ((data, count),) = await select(services, key, selection, wide=end - start > MANY_DAYS)
    given = {**audit_query.given, "by": by, "bucket": bucket}
    await services.read_trail.record(request, "audit.summary", given, count)
    return page(Summary, from_database(data), count)


def _check(start: datetime, end: datetime, width: timedelta) -> None:
    if start > end:
        raise invalid("startDate", f"{start.isoformat()} is later than the end, {end.isoformat()}")
    # A period that begins within a bucket has one bucket more.
    buckets = (end - EPOCH) // width - (start - EPOCH) // width + 1
    if buckets > MOST_BUCKETS:
        wider = [name for name, wide in WIDTHS.items() if (end - start) // wide + 2 <= MOST_BUCKETS]
        advice = f"or use bucket={wider[0]}" if wider else "no bucket is long enough for it"
        reason = f"the period has {buckets} buckets, the limit is {MOST_BUCKETS}; shorten it, {advice}"
        raise invalid("bucket", reason)

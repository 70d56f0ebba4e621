"""GET /api/admin/audit-logs: finds events, page by page, and returns single events."""

import time
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Annotated, Literal, LiteralString
from urllib.parse import urlencode
from uuid import UUID

import msgspec
import psycopg
from litestar import Response, get
from litestar.params import PathParameter, QueryParameter
from psycopg import sql as compose

import sql
from api import openapi
from api.audit.page import Page, from_database, page
from api.audit.query import MOST_ROWS, AuditQuery, InjectedQuery
from api.auth.caller import Caller, caller_of
from api.auth.peer import forwarded_prefix
from api.db.pool import STATEMENT_SECONDS, Row
from api.limits.limits import MANY_DAYS
from api.problems import AnyRequest, Problem, invalid, unavailable
from api.services import Injected, Services
from ops_pipeline.audit import filters
from ops_pipeline.audit.pages import FoundPage, page_steps, read_async
from ops_pipeline.audit.store import AuditLog

PATH = "/api/admin/audit-logs"
SCOPE = "audit:read"
MOST_OFFSET = 10_000
COUNT_SECONDS = 2


class EventPage(Page, frozen=True, kw_only=True, rename="camel"):
    """A page of events. With `count=exact` also the `total`, or the reason why it is null."""

    data: list[AuditLog]
    total: int | msgspec.UnsetType | None = msgspec.UNSET
    total_reason: str | msgspec.UnsetType = msgspec.UNSET


class EventsOfId(Page, frozen=True, kw_only=True, rename="camel"):
    """The events with one id: nearly always one."""

    data: list[AuditLog]


@get(
    "/",
    operation_id="findAuditEvents",
    summary="Find events, newest first",
    description="Follow `next` (or the header `Link`) from page to page: no event that was stored before "
    "the first page is skipped or repeated, even while others are stored.",
    opt={"scope": SCOPE},
    responses={
        200: openapi.success(
            EventPage,
            "A page of events",
            {"success": True, "data": [openapi.STORED_EVENT], "count": 1, "next": openapi.NEXT},
        ),
        **openapi.behind_key(),
    },
)
async def find_events(
    request: AnyRequest,
    services: Injected,
    audit_query: InjectedQuery,
    limit: Annotated[int, QueryParameter(ge=1, description="At most 1000; larger values mean 1000")] = 100,
    offset: Annotated[
        int, QueryParameter(ge=0, description="Events to skip, at most 10000; `cursor` has no limit")
    ] = 0,
    cursor: Annotated[
        str | None, QueryParameter(description="Where the previous page ended, from `next`")
    ] = None,
    count: Annotated[
        Literal["exact"] | None, QueryParameter(description="Also count all matching events, for at most 2 s")
    ] = None,
) -> Response[bytes]:
    """The events that match every filter; `next` is the address of the next page, if there is one."""
    limit = min(limit, MOST_ROWS)
    _check_offset(offset, cursor)
    going_on = await services.cursors.going_on(audit_query, "cursor", cursor)
    key = caller_of(request.scope)
    paged = replace(going_on.filters, limit=limit, offset=offset)
    found = await _found_page(services, key, paged)
    following = None
    if found.next is not None:
        cursors = await services.cursors.get()
        place = cursors.write(going_on.position(found.next.created_at, found.next.id), audit_query.question)
        prefix = forwarded_prefix(request, services.settings.trusted_proxies or ())
        following = f"{prefix}{PATH}?{_sent(**audit_query.sent)}limit={limit}&cursor={place}"
    more = await _total(services, key, audit_query) if count else {}
    await services.read_trail.record(request, "audit.read", {**audit_query.given}, found.count)
    return page(EventPage, from_database(found.data), found.count, following, **more)


@lru_cache(maxsize=256)
def _sent(**filters: str) -> str:
    # Cached, because the same filters are used again and again.
    return f"{urlencode(filters)}&" if filters else ""


async def _found_page(services: Services, key: Caller, paged: filters.Filters) -> FoundPage:
    now = datetime.now(UTC)
    wide = is_wide(paged, now)
    began = time.monotonic()

    async def row(asked: filters.Question) -> Row:
        if time.monotonic() - began > STATEMENT_SECONDS:
            raise _too_slow()
        (only,) = await select(services, key, asked, wide=asked.wide and wide)
        return only

    return await read_async(page_steps(paged, now), row)


def is_wide(selected: filters.Filters, now: datetime) -> bool:
    """Whether the filters allow a period of many days."""
    start, end = selected.start_date, selected.end_date or now
    return start is None or end - start > MANY_DAYS


@get(
    "/{event_id:uuid}",
    operation_id="getAuditEvent",
    summary="Get the events with one id",
    description="Nearly always one. An id is only unique among the events stored within 24 hours, so there "
    "may be several, newest first, at most 100.",
    opt={"scope": SCOPE},
    responses={
        200: openapi.success(
            EventsOfId,
            "The events",
            {"success": True, "data": [openapi.STORED_EVENT], "count": 1, "next": None},
        ),
        **openapi.behind_key(404),
    },
)
async def get_event(
    request: AnyRequest,
    services: Injected,
    event_id: Annotated[UUID, PathParameter(description="The event's id")],
) -> Response[bytes]:
    """The events with that id, newest first."""
    key = caller_of(request.scope)
    # An id says nothing of its event's day.
    async with services.limits.reading(key.id, wide=True):
        ((data, count),) = await services.pool.rows("select", _of_id(), {"id": event_id})
    await services.read_trail.record(request, "audit.read", {"id": str(event_id)}, count)
    if not count:
        raise Problem(404, f"Event {event_id} does not exist")
    return page(EventsOfId, from_database(data), count)


@cache
def _of_id() -> LiteralString:
    event = compose.SQL(sql.get("audit/event"))
    return compose.SQL(sql.get("api/audit/one")).format(event=event).as_string(None)


async def select(services: Services, key: Caller, selection: filters.Question, *, wide: bool) -> list[Row]:
    """The selected rows, within the limits of the key; `wide` as in `Limits.reading`.

    Raises Problem 429, and 503 on a statement timeout.
    """
    pool = services.page_pool if selection.keep_plan else services.pool
    try:
        async with services.limits.reading(key.id, wide=wide):
            return await pool.rows("select", selection.statement, selection.values)
    except psycopg.errors.QueryCanceled as error:
        raise _too_slow() from error


def _too_slow() -> Problem:
    advice = "Use a shorter period or more filters"
    return unavailable(f"The query took longer than {STATEMENT_SECONDS} s. {advice}")


def _check_offset(offset: int, cursor: str | None) -> None:
    if offset > MOST_OFFSET:
        reason = f"is above {MOST_OFFSET}; follow `next` instead, which is fast at any depth"
        raise invalid("offset", reason)
    if offset and cursor is not None:
        raise invalid("offset", "cannot be used with cursor, which says where the page begins")


async def _total(services: Services, key: Caller, audit_query: AuditQuery) -> dict[str, int | str | None]:
    counting = filters.question("count", audit_query.filters)
    try:
        async with (
            services.limits.reading(key.id, wide=is_wide(audit_query.filters, datetime.now(UTC))),
            services.pool.connection() as connection,
            connection.transaction(),
        ):
            limits = {"statement_timeout": f"{COUNT_SECONDS}s", "idle_timeout": "0"}
            await connection.execute(sql.get("api/audit/limit_transaction"), limits)
            cursor = await connection.execute(counting.statement, counting.values, prepare=False)
            ((total,),) = await cursor.fetchall()
    except psycopg.errors.QueryCanceled:
        reason = f"counting took longer than {COUNT_SECONDS} s; use a shorter period or more filters"
        return {"total": None, "total_reason": reason}
    return {"total": total}

"""The audit log over HTTP: events in, answers out."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlencode
from uuid import UUID

import psycopg
from litestar import MediaType, Request, Response, Router, get
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, QueryParameter, SkipValidation

import sql
from api import openapi
from api.access import note_read
from api.asked import FILTERS, MOST_ROWS, Asked, asked, mistaken, refuse_unknown
from api.auth import require_scope
from api.page import page
from api.pool import STATEMENT_TIMEOUT, Pool, Row
from api.problems import Problem
from ops_pipeline.audit import filters

MOST_OFFSET = 10_000
COUNT_SECONDS = 2


@get(
    "/api/admin/audit-logs",
    operation_id="findAuditEvents",
    summary="Find events, newest first",
    description="Follow `next` (or the header `Link`) from page to page: no event that was there at the "
    "start is skipped or repeated, whatever is stored meanwhile.",
    opt={"scope": "audit:read", "parameters": ("limit", "offset", "cursor", "count")},
    guards=[require_scope],
    dependencies={"question": Provide(asked)},
    tags=["audit"],
    security=openapi.KEY,
    responses={
        200: openapi.shown(
            openapi.EventPage,
            "A page of events",
            {"success": True, "data": [openapi.KEPT], "count": 1, "next": openapi.NEXT},
        ),
        **openapi.behind_key(),
    },
)
async def find(
    request: Request[Any, Any, State],
    state: State,
    question: SkipValidation[NamedDependency[Asked]],
    limit: Annotated[int, QueryParameter(ge=1, description="1000 at the most; more is taken as 1000")] = 100,
    offset: Annotated[
        int, QueryParameter(ge=0, description="Events to pass over, 10000 at the most; `cursor` has no limit")
    ] = 0,
    cursor: Annotated[str | None, QueryParameter(description="Where a page before ended")] = None,
    count: Annotated[
        Literal["exact"] | None, QueryParameter(description="Also count all that match, for 2 s at the most")
    ] = None,
) -> Response[bytes]:
    """The events that fit every filter; `next` is the address of the page that follows, if there is one."""
    limit = min(limit, MOST_ROWS)
    _check_offset(offset, cursor)
    going_on = await state.cursors.going_on(question, "cursor", cursor)
    found: Row = ("[]", 0, None, None)
    for each in filters.pages(replace(going_on.filters, limit=limit, offset=offset), datetime.now(UTC)):
        (found,) = await answered(state, each)
        if found[3] is not None:
            break
    data, rows, last_time, last_id = found
    following = None
    if last_id is not None:
        place = (await state.cursors.get()).write(going_on.position(last_time, last_id), question.question)
        query = {name: text for name, text in request.query_params.items() if name in FILTERS}
        following = f"{request.url.path}?{urlencode({**query, 'limit': limit, 'cursor': place})}"
    more = await _total(state, question) if count else {}
    await note_read(request, "audit.read", {**question.given}, rows)
    return page(data, rows, following, **more)


@get(
    "/api/admin/audit-logs/{event_id:uuid}",
    operation_id="getAuditEvent",
    summary="One event",
    opt={"scope": "audit:read"},
    guards=[require_scope],
    tags=["audit"],
    security=openapi.KEY,
    responses={
        200: openapi.shown(openapi.OneEvent, "The event", {"success": True, "data": openapi.KEPT}),
        **openapi.behind_key(404),
    },
)
async def one(request: Request[Any, Any, State], state: State, event_id: FromPath[UUID]) -> Response[bytes]:
    """The event with that id."""
    refuse_unknown(request, ())
    found = await state.pool.rows("select", sql.get("audit/one"), {"id": event_id})
    await note_read(request, "audit.read", {"id": str(event_id)}, len(found))
    if not found:
        raise Problem(404, f"There is no event with the id {event_id}")
    return Response(b'{"success":true,"data":%b}' % found[0][0].encode(), media_type=MediaType.JSON)


async def answered(state: State, question: filters.Question) -> list[Row]:
    """What a question is answered with. Raises Problem 503 when that takes longer than a statement may."""
    try:
        pool: Pool = state.kept_plans_pool if question.keep_plan else state.pool
        rows = await pool.rows("select", question.statement, question.values)
    except psycopg.errors.QueryCanceled as error:
        advice = "Narrow it: a shorter period, or one filter more"
        raise Problem(503, f"The search took longer than {STATEMENT_TIMEOUT}. {advice}") from error
    return rows


def _check_offset(offset: int, cursor: str | None) -> None:
    if offset > MOST_OFFSET:
        reason = f"is above {MOST_OFFSET}; follow `next` instead, which is quick however far it leads"
        raise mistaken("offset", reason)
    if offset and cursor is not None:
        raise mistaken("offset", "goes with no cursor: the cursor says where the page begins")


async def _total(state: State, question: Asked) -> dict[str, int | str | None]:
    counting = filters.question("count", question.filters)
    try:
        async with state.pool.connection() as connection, connection.transaction():
            limits = {"statement_timeout": f"{COUNT_SECONDS}s", "idle_timeout": "0"}
            await connection.execute(sql.get("session/limit_transaction"), limits)
            cursor = await connection.execute(counting.statement, counting.values, prepare=False)
            found = await cursor.fetchone()
    except psycopg.errors.QueryCanceled:
        reason = f"counting took longer than {COUNT_SECONDS} s; narrow the filters to have a total"
        return {"total": None, "totalReason": reason}
    return {"total": found[0]}


router = Router("/", route_handlers=[find, one])

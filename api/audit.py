"""The audit log over HTTP: events in, answers out."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlencode
from uuid import UUID

import msgspec
import psycopg
from litestar import MediaType, Request, Response, Router, get, post
from litestar.datastructures import State
from litestar.params import FromPath, QueryParameter

import sql
from api.auth import require_scope
from api.page import page
from api.problems import Problem
from ops_pipeline.audit.event import AuditEvent, EventError, decode
from ops_pipeline.audit.repository import Filters, as_json, storing

MOST_ROWS = 1000
FILTERS = (
    "eventType", "userId", "resourceType", "resourceId", "action", "status", "startDate", "endDate",
    "limit", "offset",
)  # fmt: skip

WITHOUT_NUL = r"^[^\x00]*$"
TIME = "ISO 8601; without a zone it is UTC"


@post(
    "/api/audit-logs",
    operation_id="storeAuditEvents",
    summary="Store one event, or an array of events",
    description="Answered after the commit. An event that has an id and a createdAt is stored once, however "
    "often it is sent. In an array a bad item is refused by itself.",
    opt={"scope": "audit:write"},
    status_code=201,
    guards=[require_scope],
    tags=["audit"],
)
async def store(request: Request[Any, Any, State], state: State) -> dict[str, Any]:
    """Stores events and says their ids."""
    body = (await request.body()).strip()
    if body.startswith(b"["):
        return await _store_batch(body, state)
    try:
        (event_id,) = await _insert(state, [decode(body)])
    except (EventError, psycopg.DataError) as error:
        reason = _reason(error)
        raise Problem(400, str(error), [reason]) from error
    return {"success": True, "id": event_id}


@get(
    "/api/admin/audit-logs",
    operation_id="findAuditEvents",
    summary="Find events, newest first",
    opt={"scope": "audit:read"},
    guards=[require_scope],
    tags=["audit"],
)
async def find(  # noqa: PLR0913, PLR0917 - a filter each
    request: Request[Any, Any, State],
    state: State,
    # One parameter each: of two that are nested, the framework takes the inner one alone.
    event_type: Annotated[
        str | None, QueryParameter(name="eventType", max_length=255, pattern=WITHOUT_NUL)
    ] = None,
    user_id: Annotated[UUID | None, QueryParameter(name="userId")] = None,
    resource_type: Annotated[
        str | None, QueryParameter(name="resourceType", max_length=255, pattern=WITHOUT_NUL)
    ] = None,
    resource_id: Annotated[UUID | None, QueryParameter(name="resourceId")] = None,
    action: Annotated[str | None, QueryParameter(max_length=255, pattern=WITHOUT_NUL)] = None,
    status: Annotated[Literal["success", "failure", "pending"] | None, QueryParameter()] = None,
    start_date: Annotated[str | None, QueryParameter(name="startDate", description=TIME)] = None,
    end_date: Annotated[str | None, QueryParameter(name="endDate", description=TIME)] = None,
    limit: Annotated[int, QueryParameter(ge=1, description="1000 at the most; more is taken as 1000")] = 100,
    offset: Annotated[int, QueryParameter(ge=0, le=1_000_000)] = 0,
) -> Response[bytes]:
    """The events that fit every filter; `next` is the address of the page that follows, if there is one."""
    _refuse_unknown(request)
    limit = min(limit, MOST_ROWS)
    filters = Filters(
        event_type=event_type,
        user_id=user_id,
        resource_type=resource_type,
        resource_id=resource_id,
        action=action,
        status=status,
        start_date=_time("startDate", start_date),
        end_date=_time("endDate", end_date),
        limit=limit,
        offset=offset,
    )
    ((data, count, more),) = await state.pool.rows("select", sql.get("audit/page"), filters.values())
    given = {name: value for name, value in request.query_params.items() if name not in {"limit", "offset"}}
    query = urlencode({**given, "limit": limit, "offset": offset + limit})
    return page(data, count, f"{request.url.path}?{query}" if more else None)


@get(
    "/api/admin/audit-logs/{event_id:uuid}",
    operation_id="getAuditEvent",
    summary="One event",
    opt={"scope": "audit:read"},
    guards=[require_scope],
    tags=["audit"],
)
async def one(state: State, event_id: FromPath[UUID]) -> Response[bytes]:
    """The event with that id."""
    found = await state.pool.rows("select", sql.get("audit/one"), {"id": event_id})
    if not found:
        raise Problem(404, f"There is no event with the id {event_id}")
    return Response(b'{"success":true,"data":%b}' % found[0][0].encode(), media_type=MediaType.JSON)


async def _store_batch(body: bytes, state: State) -> dict[str, Any]:
    try:
        items = msgspec.json.decode(body, type=list[msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(400, f"body: {error}", [{"field": "body", "reason": str(error)}]) from error
    results: list[dict[str, Any]] = []
    good: list[tuple[int, AuditEvent]] = []
    for index, item in enumerate(items):
        try:
            good.append((index, decode(item)))
        except EventError as error:
            results.append({"index": index, "error": _reason(error)})
    results += await _insert_each(state, good)
    results.sort(key=lambda result: result["index"])
    errors = [result for result in results if "error" in result]
    if errors and len(errors) == len(results):
        named = [
            {"field": f"[{each['index']}].{each['error']['field']}", "reason": each["error"]["reason"]}
            for each in errors
        ]
        raise Problem(400, "No event was stored; each is refused for a reason of its own", named)
    return {"success": not errors, "results": results}


async def _insert_each(state: State, events: list[tuple[int, AuditEvent]]) -> list[dict[str, Any]]:
    """Stores what can be stored. What only PostgreSQL finds fault with is found by halving."""
    if not events:
        return []
    try:
        ids = await _insert(state, [event for _, event in events])
    except psycopg.DataError as error:
        if len(events) == 1:
            return [{"index": events[0][0], "error": _reason(error)}]
        half = len(events) // 2
        return [*await _insert_each(state, events[:half]), *await _insert_each(state, events[half:])]
    return [{"index": index, "id": each} for (index, _), each in zip(events, ids, strict=True)]


async def _insert(state: State, events: list[AuditEvent]) -> list[UUID]:
    ((refers_to_users,),) = await state.pool.rows("select", sql.get("audit/refers_to_users"))
    ((ids, _),) = await state.pool.rows("insert", storing(refers_to_users), {"events": as_json(events)})
    for event in events:
        state.metrics.note_llm_request(event)
    return list(ids)


def _reason(error: EventError | psycopg.DataError) -> dict[str, str]:
    if isinstance(error, EventError):
        return {"field": error.field or "body", "reason": error.reason}
    return {"field": "body", "reason": f"PostgreSQL cannot keep it: {error.diag.message_primary}"}


def _refuse_unknown(request: Request[Any, Any, State]) -> None:
    unknown = sorted(set(request.query_params) - set(FILTERS))
    if unknown:
        reason = f"there is no such filter; there is: {', '.join(FILTERS)}"
        raise Problem(400, f"{unknown[0]}: {reason}", [{"field": each, "reason": reason} for each in unknown])


def _time(field: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        # A plus sign that was not escaped arrives as a space.
        time = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
    except ValueError as error:
        reason = f"{text!r} is no time; write ISO 8601, for example 2026-01-31T12:00:00Z"
        raise Problem(400, f"{field}: {reason}", [{"field": field, "reason": reason}]) from error
    return time if time.tzinfo else time.replace(tzinfo=UTC)


router = Router("/", route_handlers=[store, find, one])

"""The audit log over HTTP: events in, answers out."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlencode
from uuid import UUID, uuid4

import msgspec
import psycopg
from litestar import MediaType, Request, Response, Router, get, post
from litestar.datastructures import State
from litestar.params import Parameter

import sql
from api.auth import require_scope
from api.page import page
from api.problems import Problem
from ops_pipeline.audit.event import AuditEvent, field_and_reason
from ops_pipeline.audit.repository import MOST_ROWS, Filters, encode, insert_statement, parameters

FILTERS = (
    "eventType", "userId", "resourceType", "resourceId", "action", "status", "startDate", "endDate",
    "limit", "offset",
)  # fmt: skip

Text = Annotated[str | None, Parameter(max_length=255)]
Time = Annotated[str | None, Parameter(description="ISO 8601; without a zone it is UTC")]


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
        event = _with_id(msgspec.json.decode(body, type=AuditEvent))
        await _insert(state, [event])
    except (msgspec.MsgspecError, psycopg.DataError) as error:
        field, reason = field_and_reason(error)
        raise Problem(400, f"{field}: {reason}", [{"field": field, "reason": reason}]) from error
    return {"success": True, "id": event.id}


@get(
    "/api/admin/audit-logs",
    operation_id="findAuditEvents",
    summary="Find events, newest first",
    opt={"scope": "audit:read"},
    guards=[require_scope],
    tags=["audit"],
)
async def find(
    request: Request[Any, Any, State],
    state: State,
    event_type: Annotated[Text, Parameter(query="eventType")] = None,
    user_id: Annotated[UUID | None, Parameter(query="userId")] = None,
    resource_type: Annotated[Text, Parameter(query="resourceType")] = None,
    resource_id: Annotated[UUID | None, Parameter(query="resourceId")] = None,
    action: Text = None,
    status: Literal["success", "failure", "pending"] | None = None,
    start_date: Annotated[Time, Parameter(query="startDate")] = None,
    end_date: Annotated[Time, Parameter(query="endDate")] = None,
    limit: Annotated[int, Parameter(ge=1, description="1000 at the most; more is taken as 1000")] = 100,
    offset: Annotated[int, Parameter(ge=0, le=1_000_000)] = 0,
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
        start=_time("startDate", start_date),
        end=_time("endDate", end_date),
        limit=limit,
        offset=offset,
    )
    ((data, count, more),) = await state.pool.rows("select", sql.get("audit/find_page"), parameters(filters))
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
async def one(state: State, event_id: UUID) -> Response[bytes]:
    """The event with that id."""
    found = await state.pool.rows("select", sql.get("audit/by_id"), {"id": event_id})
    if not found:
        raise Problem(404, f"There is no event with the id {event_id}")
    return Response(b'{"success":true,"data":%b}' % found[0][0].encode(), media_type=MediaType.JSON)


async def _store_batch(body: bytes, state: State) -> dict[str, Any]:
    try:
        items = msgspec.json.decode(body, type=list[msgspec.Raw])
    except msgspec.MsgspecError as error:
        raise Problem(400, f"body: {error}", [{"field": "body", "reason": str(error)}]) from error
    results: list[dict[str, Any]] = []
    good: list[tuple[int, AuditEvent]] = []
    for index, item in enumerate(items):
        try:
            event = _with_id(msgspec.json.decode(item, type=AuditEvent))
        except msgspec.MsgspecError as error:
            results.append(_refused(index, error))
        else:
            good.append((index, event))
    results += await _insert_each(state, good)
    results.sort(key=lambda result: result["index"])
    errors = [result for result in results if "error" in result]
    if errors and len(errors) == len(results):
        named = [{"field": f"[{each['index']}].{each['error']['field']}", **_reason(each)} for each in errors]
        raise Problem(400, "No event was stored; each is refused for a reason of its own", named)
    return {"success": not errors, "results": results}


async def _insert_each(state: State, events: list[tuple[int, AuditEvent]]) -> list[dict[str, Any]]:
    """Stores what can be stored. What only PostgreSQL finds fault with is found by halving."""
    if not events:
        return []
    try:
        await _insert(state, [event for _, event in events])
    except psycopg.DataError as error:
        if len(events) == 1:
            return [_refused(events[0][0], error)]
        half = len(events) // 2
        return [*await _insert_each(state, events[:half]), *await _insert_each(state, events[half:])]
    return [{"index": index, "id": event.id} for index, event in events]


async def _insert(state: State, events: list[AuditEvent]) -> None:
    ((has_users,),) = await state.pool.rows("select", sql.get("audit/has_users"))
    await state.pool.rows("insert", insert_statement(has_users), {"events": encode(events)})
    for event in events:
        state.metrics.note_llm_request(event)


def _with_id(event: AuditEvent) -> AuditEvent:
    return event if event.id is not None else msgspec.structs.replace(event, id=uuid4())


def _refused(index: int, error: Exception) -> dict[str, Any]:
    field, reason = field_and_reason(error)
    return {"index": index, "error": {"field": field, "reason": reason}}


def _reason(result: dict[str, Any]) -> dict[str, str]:
    return {"reason": result["error"]["reason"]}


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

"""Pages of events as a user would build them with FastAPI, asyncpg and pydantic.

`python -m benchmarks.fastapi_pages PORT`, with `BENCH_DATABASE_URL`; `BENCH_SELECT`, the statement that
selects the events; and `BENCH_PAGE`, which returns them as JSON. It checks the key, caches it for 2 seconds,
and commits the record of the read before it answers. It logs, measures and limits nothing.
"""

import base64
import hashlib
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from typing import Annotated, Any, Literal
from uuid import UUID

import asyncpg
import orjson
import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, Field

SELECT, PAGE = os.environ["BENCH_SELECT"], os.environ["BENCH_PAGE"]
FIND_KEY = """
SELECT id, name, scopes FROM ops.api_keys
WHERE key_hash = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
"""
RECORD = """
INSERT INTO public.audit_logs (
  event_type, action, status, resource_type, details, ip_address, created_by, key_id, peer_address, origin
) VALUES ('audit_access', 'audit.read', 'success', 'audit_logs', $1, $2, $3, $4, $2, 'api')
"""
CACHED_SECONDS = 2.0


class Caller(BaseModel):
    """The key of a request."""

    id: UUID
    name: str
    scopes: list[str]


class Filters(BaseModel):
    """The query parameters of a page."""

    event_type: str = Field(alias="eventType", max_length=255)
    status: Literal["success", "failure", "pending"]
    limit: int = Field(100, ge=1, le=1000)


class Event(BaseModel):
    """An event as it is returned."""

    id: UUID
    event_type: str
    user_id: UUID | None
    resource_type: str | None
    resource_id: UUID | None
    action: str | None
    details: dict[str, Any] | None
    ip_address: IPv4Address | IPv6Address | IPv4Interface | IPv6Interface | None
    status: str | None
    duration_ms: int | None
    created_at: datetime
    created_by: str | None
    received_at: datetime | None
    key_id: UUID | None
    peer_address: IPv4Address | IPv6Address | IPv4Interface | IPv6Interface | None
    subject_id: UUID | None
    origin: str | None


class Page(BaseModel):
    """A page of events."""

    success: bool = True
    count: int
    next: str | None
    data: list[Event]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Keeps the pool of connections."""
    async with asyncpg.create_pool(
        os.environ["BENCH_DATABASE_URL"], min_size=5, max_size=10, init=_prepare
    ) as pool:
        app.state.pool = pool
        yield


async def _prepare(connection: Any) -> None:
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda value: b"\x01" + orjson.dumps(value),
        decoder=lambda data: orjson.loads(data[1:]),
        format="binary",
    )


app = FastAPI(lifespan=lifespan)
bearer = HTTPBearer()
known: dict[bytes, tuple[Caller, float]] = {}


async def caller_of(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials, Depends(bearer)]
) -> Caller:
    """The key of the request. Raises HTTPException 401 and 403."""
    key_hash = hashlib.sha256(credentials.credentials.encode()).digest()
    caller, until = known.get(key_hash, (None, 0.0))
    if caller is None or time.monotonic() >= until:
        row = await request.app.state.pool.fetchrow(FIND_KEY, key_hash)
        if row is None:
            raise HTTPException(401, "The key is invalid")
        caller = Caller(**row)
        known[key_hash] = caller, time.monotonic() + CACHED_SECONDS
    if "audit:read" not in caller.scopes:
        raise HTTPException(403, "The key lacks the scope audit:read")
    return caller


@app.get("/api/admin/audit-logs")
async def find_events(
    request: Request,
    filters: Annotated[Filters, Query()],
    caller: Annotated[Caller, Depends(caller_of)],
) -> Page:
    """The newest events that match the filters."""
    async with request.app.state.pool.acquire() as connection:
        rows = await connection.fetch(SELECT, filters.event_type, filters.status)
        events = [Event(**row) for row in rows[: filters.limit]]
        await _record(connection, request, filters, caller, len(events))
    more = len(rows) > filters.limit
    following = _following(request, events[-1].created_at, events[-1].id) if more else None
    return Page(count=len(events), next=following, data=events)


@app.get("/api/admin/audit-logs/as-json")
async def pass_json_on(
    request: Request,
    filters: Annotated[Filters, Query()],
    caller: Annotated[Caller, Depends(caller_of)],
) -> Response:
    """The same page, as PostgreSQL writes it, without a model of an event."""
    async with request.app.state.pool.acquire() as connection:
        data, count, last_time, last_id, more = await connection.fetchrow(
            PAGE, filters.event_type, filters.status
        )
        await _record(connection, request, filters, caller, count)
    following = _following(request, last_time, last_id) if more else None
    head = orjson.dumps({"success": True, "count": count, "next": following})
    return Response(b'%b,"data":%b}' % (head[:-1], data.encode()), media_type="application/json")


async def _record(connection: Any, request: Request, filters: Filters, caller: Caller, rows: int) -> None:
    given = filters.model_dump(exclude={"limit"}, by_alias=True)
    details = {"key_id": str(caller.id), "filters": given, "rows": rows}
    address = request.client.host if request.client else None
    await connection.execute(RECORD, details, address, caller.name, caller.id)


def _following(request: Request, last_time: datetime, last_id: UUID) -> str:
    cursor = base64.urlsafe_b64encode(f"{last_time.isoformat()} {last_id}".encode()).decode()
    return str(request.url.include_query_params(cursor=cursor))


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), access_log=False, log_level="warning")

"""GET /api/admin/audit-logs/stream: the live tail, new events as server-sent events."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Protocol

import msgspec
import psycopg
import structlog
from litestar import get
from litestar.params import HeaderParameter, QueryParameter
from litestar.response import Stream
from psycopg_pool import PoolTimeout

import sql
from api import openapi
from api.audit.query import InjectedQuery
from api.audit.streaming import recorded_stream
from api.auth.caller import Caller, caller_of
from api.db.pool import Row
from api.limits.limits import MANY_DAYS
from api.problems import AnyRequest, Problem, invalid, unavailable
from api.services import Injected, Services
from ops_pipeline.audit.cursor import CursorError, Cursors
from ops_pipeline.audit.filters import Filters, question
from ops_pipeline.postgres.connection import Statement

MOST_STREAMS = 50
POLL_SECONDS = 0.5
HEARTBEAT_SECONDS = 15.0
KEPT_SECONDS = 23 * 3600
"""How long a position can be resumed from: a little less than arrivals are kept."""

log = structlog.get_logger()


@get(
    "/stream",
    operation_id="tailAuditEvents",
    summary="Stream new events (server-sent events)",
    description="Begins with events stored from now on. To resume within 23 hours, send the `id` of the last "
    "event as `Last-Event-ID` or `lastEventId`: no event is missed or repeated. A comment every 15 seconds "
    "keeps the connection alive. On shutdown the stream ends with an `end` event.",
    opt={"scope": "audit:read", "token": True},
    security=openapi.TOKEN,
    responses={
        200: openapi.success(str, "An endless stream of events", media_type="text/event-stream"),
        **openapi.behind_key(),
    },
)
async def tail(
    request: AnyRequest,
    services: Injected,
    audit_query: InjectedQuery,
    last_event_id: Annotated[
        str | None, HeaderParameter(name="Last-Event-ID", description="The `id` of the last event received")
    ] = None,
    last_seen: Annotated[
        str | None,
        QueryParameter(name="lastEventId", description="The same, where no header can be sent"),
    ] = None,
    token: Annotated[
        str | None, QueryParameter(description="In place of a key: a token of `createTailToken`")
    ] = None,
) -> Stream:
    """The matching events, in the order in which they became visible."""
    if services.lifecycle.draining:
        raise unavailable("The server is shutting down; connect again")
    key = caller_of(request.scope)
    services.limits.check_stream(key.id, "tails")
    _check_room(services)
    cursors = await services.cursors.get()
    rows = partial(_rows, services, key)
    # A browser that connects again sends the header, and the parameter that it began with.
    if last_event_id:
        place = _read(cursors, "Last-Event-ID", last_event_id)
    elif last_seen:
        place = _read(cursors, "lastEventId", last_seen)
    else:
        place = _behind(await _visible(rows))
    follower = Follower(rows, audit_query.filters, place)
    parts = _parts(services, key, follower, cursors)
    given = {**audit_query.given, "with_token": True if token is not None else None}
    body = await recorded_stream(services.read_trail, request, "audit.tail", given, parts, follower)
    return Stream(
        body,
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


class TailPosition(msgspec.Struct, frozen=True, array_like=True):
    """A position in the order of arrival: between two snapshots, after `place` and `nth`.

    Events visible in the snapshot `seen` were sent; those visible in `visible` are being sent; `at` is the
    time of the latter, in seconds since the epoch.
    """

    seen: str
    visible: str
    place: int
    nth: int
    at: int


class Rows(Protocol):
    """Runs a statement that reads, within the limits of a key; `wide` as in `Limits.reading`."""

    async def __call__(self, statement: Statement, values: Any = None, *, wide: bool = False) -> list[Row]:
        """The statement's rows. Raises psycopg.Error, PoolTimeout, and Problem 429 or 503."""


@dataclass(eq=False, slots=True)
class Follower:
    """Finds events that have become visible since the last look, regardless of their created_at.

    A transaction that was in progress at the last look is not visible in that look's snapshot. So its events
    are found when it commits, however late.
    """

    rows_of: Rows
    filters: Filters
    place: TailPosition
    rows: int = 0

    async def look(self) -> AsyncGenerator[tuple[TailPosition, str], None]:
        """Each event that became visible, with the position after it. Raises psycopg.Error, PoolTimeout."""
        if self.place.seen == self.place.visible:
            visible = await _visible(self.rows_of)
            if visible == self.place.seen:
                return
            self.place = TailPosition(self.place.seen, visible, 0, 0, int(time.time()))
        while arrivals := await self.rows_of(
            sql.get("api/audit/arrivals"), msgspec.structs.asdict(self.place)
        ):
            events = await self._events(arrivals)
            for number, (place, nth, _, _) in enumerate(arrivals, 1):
                self.place = msgspec.structs.replace(self.place, place=place, nth=nth)
                if number in events:
                    self.rows += 1
                    yield self.place, events[number]
        self.place = _behind(self.place.visible)

    async def _events(self, arrivals: list[Row]) -> dict[int, str]:
        times = [created_at for _, _, created_at, _ in arrivals]
        named = {"created_ats": times, "ids": [event_id for _, _, _, event_id in arrivals]}
        selection = question("events", self.filters)
        oldest, newest = min(times), max(times)
        values = {**selection.values, **named, "oldest": oldest, "newest": newest}
        wide = newest - oldest > MANY_DAYS
        return dict(await self.rows_of(selection.statement, values, wide=wide))


async def _parts(
    services: Services, key: Caller, follower: Follower, cursors: Cursors
) -> AsyncGenerator[bytes, None]:
    async with services.limits.streaming(key.id, "tails"):
        _check_room(services)
        services.tails.add(follower)
        try:
            yield b"retry: 1000\n\n"
            async with aclosing(_messages(services, key, follower, cursors)) as messages:
                async for message in messages:
                    yield message
        finally:
            services.tails.discard(follower)


def _check_room(services: Services) -> None:
    if len(services.tails) >= MOST_STREAMS:
        raise unavailable(f"{MOST_STREAMS} streams are open, the limit; try again when one has ended")


async def _messages(
    services: Services, key: Caller, follower: Follower, cursors: Cursors
) -> AsyncGenerator[bytes, None]:
    sent_at = checked_at = time.monotonic()
    while not services.lifecycle.draining:
        try:
            if time.monotonic() - checked_at >= HEARTBEAT_SECONDS:
                # Without an answer no event is sent, and the key is checked again.
                if not await services.known_keys.still_valid(key):
                    yield _end("the key was revoked or has expired")
                    return
                checked_at = time.monotonic()
            async with aclosing(follower.look()) as found:
                async for place, event in found:
                    yield f"id: {_written(cursors, place)}\nevent: audit\ndata: {event}\n\n".encode()
                    sent_at = time.monotonic()
                    if sent_at - checked_at >= HEARTBEAT_SECONDS:
                        break  # a busy stream checks its key as well
        except (psycopg.OperationalError, PoolTimeout, Problem) as error:
            # The position is kept: once the database answers again, the stream continues there.
            log.warning("tail waits for the database", error=type(error).__name__)
        if time.monotonic() - sent_at >= HEARTBEAT_SECONDS:
            # An id without data advances the client's Last-Event-ID and delivers no event.
            yield f": alive\nid: {_written(cursors, follower.place)}\n\n".encode()
            sent_at = time.monotonic()
        await asyncio.sleep(POLL_SECONDS)
    yield _end("the server is shutting down; connect again with Last-Event-ID")


def _end(reason: str) -> bytes:
    return b"event: end\ndata: %b\n\n" % msgspec.json.encode({"reason": reason})


async def _rows(
    services: Services, key: Caller, statement: Statement, values: Any = None, *, wide: bool = False
) -> list[Row]:
    async with services.limits.reading(key.id, wide=wide):
        return await services.pool.rows("select", statement, values)


def _behind(visible: str) -> TailPosition:
    return TailPosition(visible, visible, 0, 0, int(time.time()))


async def _visible(rows: Rows) -> str:
    ((visible,),) = await rows(sql.get("api/audit/now_visible"))
    return str(visible)


def _written(cursors: Cursors, place: TailPosition) -> str:
    return cursors.seal(msgspec.json.encode(place))


def _read(cursors: Cursors, field: str, text: str) -> TailPosition:
    try:
        place = msgspec.json.decode(cursors.unseal(text), type=TailPosition)
    except (CursorError, msgspec.MsgspecError) as error:
        raise invalid(field, "is not an id of this stream; send it unchanged") from error
    if time.time() - place.at > KEPT_SECONDS:
        reason = "is older than 23 hours; omit it, and get the events since from /api/admin/audit-logs"
        raise invalid(field, reason)
    return place

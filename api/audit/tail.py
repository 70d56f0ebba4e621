"""GET /api/admin/audit-logs/stream: the live tail, new events as server-sent events."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated

import msgspec
import psycopg
import structlog
from litestar import get
from litestar.params import HeaderParameter
from litestar.response import Stream
from psycopg_pool import PoolTimeout

import sql
from api import openapi
from api.audit.query import InjectedQuery
from api.audit.streaming import recorded_stream
from api.db.pool import Pool, Row
from api.problems import AnyRequest, invalid, unavailable
from api.services import Injected, Services
from ops_pipeline.audit.cursor import CursorError, Cursors
from ops_pipeline.audit.filters import Filters, question

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
    "event as `Last-Event-ID`: no event is missed or repeated. A comment every 15 seconds keeps the "
    "connection alive. On shutdown the stream ends with an `end` event.",
    opt={"scope": "audit:read"},
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
) -> Stream:
    """The matching events, in the order in which they became visible."""
    if services.lifecycle.draining:
        raise unavailable("The server is shutting down; connect again")
    if len(services.tails) >= MOST_STREAMS:
        raise unavailable(f"{MOST_STREAMS} streams are open, the limit; try again when one has ended")
    cursors = await services.cursors.get()
    place = _read(cursors, last_event_id) if last_event_id else _behind(await _visible(services.pool))
    follower = Follower(services.pool, audit_query.filters, place)
    parts = _parts(services, follower, cursors)
    body = await recorded_stream(
        services.read_trail, request, "audit.tail", {**audit_query.given}, parts, follower
    )
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


@dataclass(eq=False, slots=True)
class Follower:
    """Finds events that have become visible since the last look, regardless of their created_at.

    A transaction that was in progress at the last look is not visible in that look's snapshot. So its events
    are found when it commits, however late.
    """

    pool: Pool
    filters: Filters
    place: TailPosition
    rows: int = 0

    async def look(self) -> AsyncIterator[tuple[TailPosition, str]]:
        """Each event that became visible, with the position after it. Raises psycopg.Error, PoolTimeout."""
        if self.place.seen == self.place.visible:
            visible = await _visible(self.pool)
            if visible == self.place.seen:
                return
            self.place = TailPosition(self.place.seen, visible, 0, 0, int(time.time()))
        while arrivals := await self.pool.rows(
            "select", sql.get("api/audit/arrivals"), msgspec.structs.asdict(self.place)
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
        values = {**selection.values, **named, "oldest": min(times), "newest": max(times)}
        return dict(await self.pool.rows("select", selection.statement, values))


async def _parts(services: Services, follower: Follower, cursors: Cursors) -> AsyncGenerator[bytes, None]:
    services.tails.add(follower)
    try:
        yield b"retry: 1000\n\n"
        async with aclosing(_messages(services, follower, cursors)) as messages:
            async for message in messages:
                yield message
    finally:
        services.tails.discard(follower)


async def _messages(services: Services, follower: Follower, cursors: Cursors) -> AsyncGenerator[bytes, None]:
    sent_at = time.monotonic()
    while not services.lifecycle.draining:
        try:
            async for place, event in follower.look():
                yield f"id: {_written(cursors, place)}\nevent: audit\ndata: {event}\n\n".encode()
                sent_at = time.monotonic()
        except (psycopg.OperationalError, PoolTimeout) as error:
            # The position is kept: once the database answers again, the stream continues there.
            log.warning("tail waits for the database", error=type(error).__name__)
        if time.monotonic() - sent_at >= HEARTBEAT_SECONDS:
            # An id without data advances the client's Last-Event-ID and delivers no event.
            yield f": alive\nid: {_written(cursors, follower.place)}\n\n".encode()
            sent_at = time.monotonic()
        await asyncio.sleep(POLL_SECONDS)
    reason = msgspec.json.encode({"reason": "the server is shutting down; connect again with Last-Event-ID"})
    yield b"event: end\ndata: %b\n\n" % reason


def _behind(visible: str) -> TailPosition:
    return TailPosition(visible, visible, 0, 0, int(time.time()))


async def _visible(pool: Pool) -> str:
    ((visible,),) = await pool.rows("select", sql.get("api/audit/now_visible"))
    return str(visible)


def _written(cursors: Cursors, place: TailPosition) -> str:
    return cursors.seal(msgspec.json.encode(place))


def _read(cursors: Cursors, text: str) -> TailPosition:
    try:
        place = msgspec.json.decode(cursors.unseal(text), type=TailPosition)
    except (CursorError, msgspec.MsgspecError) as error:
        raise invalid("Last-Event-ID", "is not an id of this stream; send it unchanged") from error
    if time.time() - place.at > KEPT_SECONDS:
        reason = "is older than 23 hours; omit it, and get the events since from /api/admin/audit-logs"
        raise invalid("Last-Event-ID", reason)
    return place

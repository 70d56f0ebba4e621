"""Stores events that come from many clients at once in few commits."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self
from uuid import UUID

import msgspec
import psycopg
import structlog
from psycopg.types.json import Jsonb
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests

import sql
from api import background
from api.held import Held
from api.pool import Pool
from ops_pipeline.audit.event import AuditEvent
from ops_pipeline.audit.repository import storing

GROUP_EVENTS = 1000
"""How many events share a commit, unless one request alone brings more."""
PART_EVENTS = 5000
"""A request with more events is stored in parts, so that one statement never takes long."""
MOST_EVENTS = 200_000
MOST_BYTES = 64 * 1024 * 1024
"""What may wait, in events and in bytes of JSON; beyond that a request is told to come again."""
ANSWER_SECONDS = 8.0
"""How long a request waits for its commit before it is told that the outcome is unknown."""
MANY_EVENTS = 16
LONG_SECONDS = 0.25
"""What has to wait, in events or for so long, before a second writer helps the first. One alone makes fewer
and larger commits, each of which costs PostgreSQL as much as ten events do."""
TRIES = 3
PURGE_SECONDS = 3600.0
PURGE_ROWS = 10_000

STALE_SCHEMA = (
    psycopg.errors.ForeignKeyViolation,
    psycopg.errors.UndefinedTable,
    psycopg.errors.UndefinedFunction,
)
"""What is said when the application has got, or lost, its users since they were looked up."""

OF_ONE_EVENT = (psycopg.DataError, psycopg.errors.ProgramLimitExceeded, psycopg.errors.CheckViolation)
"""What one event may be to blame for. The last says that no partition takes its date, for now."""

OF_ITS_TIME = (
    psycopg.errors.CheckViolation,
    psycopg.errors.InvalidDatetimeFormat,
    psycopg.errors.DatetimeFieldOverflow,
    psycopg.errors.InvalidTimeZoneDisplacementValue,
)

log = structlog.get_logger()


class UnavailableError(Exception):
    """Events cannot be stored now. The message says whether they may have been stored all the same."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why PostgreSQL cannot keep an event that looked well. `for_now`: a later try may do better."""

    field: str
    reason: str
    for_now: bool = False


@dataclass(frozen=True, slots=True)
class Checked:
    """An event that was found to be well: its JSON, and what it says where that is counted."""

    json: bytes | msgspec.Raw
    llm_request: AuditEvent | None = None


Outcome = UUID | Refusal


@dataclass(slots=True, eq=False)
class _Part:
    events: Sequence[Checked]
    size: int
    done: asyncio.Future[list[Outcome]]
    since: float
    begun: bool = False
    whole: bytes | None = field(default=None, repr=False)

    def give_up(self) -> None:
        _fail(self, UnavailableError(UNKNOWN if self.begun else NOT_BEGUN))


class AuditWriter:
    """Takes what is waiting and hands it to PostgreSQL as one statement; a second task helps when much waits.

    `store` returns once the events are committed. What waits is bounded; a group that PostgreSQL refuses
    because of one event is halved until that event is found, and its neighbours are stored.
    `note_llm_request` is called once for each new event of that type, `observe` with the seconds that each
    kind of statement took.
    """

    def __init__(
        self,
        pool: Pool,
        observe: Callable[[str, float], None],
        note_llm_request: Callable[[AuditEvent], None],
    ) -> None:
        self._pool = pool
        self._observe = observe
        self._note_llm_request = note_llm_request
        self._waiting: deque[_Part] = deque()
        self._events = 0
        self._bytes = 0
        self._ready = asyncio.Event()
        self._many = asyncio.Event()
        self._closing = False
        self._tasks: list[asyncio.Task[None]] = []
        self._refers_to_users: bool | None = None
        self._purge_at = 0.0

    async def __aenter__(self) -> Self:
        self._tasks = [
            background.start(self._write(), "writer"),
            background.start(self._help(), "writer that helps"),
        ]
        return self

    async def __aexit__(self, *exception: object) -> None:
        """Commits what still waits, for as long as a request would be let wait."""
        self._closing = True
        self._ready.set()
        self._many.set()
        _, late = await asyncio.wait(self._tasks, timeout=ANSWER_SECONDS)
        for task in late:
            task.cancel()
        if self._waiting:
            log.error("events not stored", events=self._events, reason="the database did not answer")
        for part in self._waiting:
            _fail(part, UnavailableError("The process is shutting down; nothing was stored. Try again."))

    async def store(self, events: Sequence[Checked], whole: bytes | None = None) -> list[Outcome]:
        """Stores events and says for each its id, or why it cannot be kept, once that is committed.

        `whole` is the JSON array of exactly these events where there is one already. Raises
        UnavailableError, and what PostgreSQL says of a schema that is not ours.
        """
        if len(events) > PART_EVENTS:
            parts = [events[at : at + PART_EVENTS] for at in range(0, len(events), PART_EVENTS)]
            return [each for part in parts for each in await self._store_part(part, first=part is parts[0])]
        size = sum(len(memoryview(each.json)) for each in events)
        if self._closing or self._events + len(events) > MOST_EVENTS or self._bytes + size > MOST_BYTES:
            raise UnavailableError(
                "Too many events wait for the database, or this process is stopping; these were not stored. "
                "Try again."
            )
        loop = asyncio.get_running_loop()
        part = _Part(events, size, loop.create_future(), loop.time(), whole=whole)
        self._waiting.append(part)
        self._events += len(events)
        self._bytes += size
        self._ready.set()
        if self._events >= MANY_EVENTS:
            self._many.set()
        # One timer a request: asyncio.timeout costs several times as much.
        timer = loop.call_later(ANSWER_SECONDS, part.give_up)
        try:
            return await part.done
        finally:
            timer.cancel()

    async def _store_part(self, events: Sequence[Checked], *, first: bool) -> list[Outcome]:
        try:
            return await self.store(events)
        except UnavailableError as error:
            raise error if first else UnavailableError(PARTLY) from None

    async def _write(self) -> None:
        database = Held(self._pool, self._observe)
        try:
            while True:
                await self._ready.wait()
                await asyncio.sleep(0)  # who is about to post, at this very moment, comes along
                if group := self._take():
                    await self._finish(group, database)
                elif self._closing:
                    return
                else:
                    self._ready.clear()
        finally:
            await database.release()

    async def _help(self) -> None:
        database = Held(self._pool, self._observe)
        try:
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(LONG_SECONDS):
                        await self._many.wait()
                while self._much_waits() and (group := self._take()):
                    await self._finish(group, database)
                if self._closing:
                    return
                self._many.clear()
        finally:
            await database.release()

    def _much_waits(self) -> bool:
        if not self._waiting:
            return False
        since = asyncio.get_running_loop().time() - self._waiting[0].since
        return self._events >= MANY_EVENTS or since >= LONG_SECONDS

    def _take(self) -> list[_Part]:
        """What is stored next; what nobody waits for any more, and was not begun, is left out."""
        group: list[_Part] = []
        events = 0
        while self._waiting and (not group or events + len(self._waiting[0].events) <= GROUP_EVENTS):
            part = self._waiting.popleft()
            self._events -= len(part.events)
            self._bytes -= part.size
            if not part.done.done():
                part.begun = True
                events += len(part.events)
                group.append(part)
        return group

    async def _finish(self, group: list[_Part], database: Held) -> None:
        try:
            outcomes = iter(await self._store_each(group, database))
        except Exception as error:  # whoever waits is told; the task has to go on
            for part in group:
                _fail(part, error)
            return
        for part in group:
            theirs = [next(outcomes) for _ in part.events]
            if not part.done.done():
                part.done.set_result(theirs)
        await self._purge(database)

    async def _store_each(self, group: list[_Part], database: Held) -> list[Outcome]:
        events = [event for part in group for event in part.events]
        whole = group[0].whole if len(group) == 1 else None
        try:
            return list(await self._insert(database, events, whole))
        except OF_ONE_EVENT:
            if len(events) > 1:
                log.warning("group refused, looking for the event", events=len(events))
        try:
            return await self._halve(database, events)
        except DOWN:
            raise UnavailableError(PARTLY) from None

    async def _halve(self, database: Held, events: list[Checked]) -> list[Outcome]:
        if len(events) == 1:
            return [await self._store_alone(database, events[0])]
        outcomes: list[Outcome] = []
        for half in (events[: len(events) // 2], events[len(events) // 2 :]):
            try:
                outcomes += await self._insert(database, half)
            except OF_ONE_EVENT:
                outcomes += await self._halve(database, half)
        return outcomes

    async def _store_alone(self, database: Held, event: Checked) -> Outcome:
        try:
            (stored,) = await self._insert(database, [event])
        except OF_ONE_EVENT as error:
            # Every other field was checked to the last bit: what is left are dates and zones that only
            # PostgreSQL refuses, and numbers in details.
            field = "createdAt" if isinstance(error, OF_ITS_TIME) else "details"
            reason = f"PostgreSQL cannot keep it: {error.diag.message_primary}"
            return Refusal(field, reason, for_now=isinstance(error, psycopg.errors.CheckViolation))
        return stored

    async def _insert(self, database: Held, events: list[Checked], whole: bytes | None = None) -> list[UUID]:
        body = whole if whole is not None else b"[" + b",".join([each.json for each in events]) + b"]"
        values = {"events": Jsonb(body, dumps=_as_it_is)}
        for left in range(TRIES - 1, -1, -1):
            try:
                statement = storing(await self._has_users(database))
                ((ids, _, new),) = await database.rows("insert", statement, values)
            except STALE_SCHEMA:
                self._refers_to_users = None
                if not left:
                    raise
            except (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure):
                if not left:
                    raise
            else:
                self._count(events, ids, set(new))
                return list(ids)
        raise AssertionError("the last try returns or raises")

    async def _has_users(self, database: Held) -> bool:
        if self._refers_to_users is None:
            ((found,),) = await database.rows("select", sql.get("audit/refers_to_users"))
            self._refers_to_users = bool(found)
        return self._refers_to_users

    def _count(self, events: list[Checked], ids: list[UUID], new: set[UUID]) -> None:
        if not new:
            return
        for event, event_id in zip(events, ids, strict=True):
            if event.llm_request is not None and event_id in new:
                new.remove(event_id)  # the same event twice in one group is one event
                self._note_llm_request(event.llm_request)

    async def _purge(self, database: Held) -> None:
        if time.monotonic() < self._purge_at:
            return
        self._purge_at = time.monotonic() + PURGE_SECONDS
        try:
            purged = await database.rows("delete", sql.get("audit/purge_receipts"), {"limit": PURGE_ROWS})
        except DOWN as error:
            log.warning("receipts not purged", error=type(error).__name__)
            return
        if len(purged) == PURGE_ROWS:
            self._purge_at = time.monotonic() + 1


NOT_BEGUN = "The database is too slow to take more; nothing was stored. Try again."
UNKNOWN = (
    "The database has not answered in time. The events may have been stored, or may be yet; sent again with "
    "the same id or Idempotency-Key they are stored once."
)
PARTLY = (
    "The database stopped answering before all of the events were stored; some may have been. Sent again "
    "with the same ids or Idempotency-Key, each is stored once."
)
DOWN = (psycopg.Error, PoolTimeout, PoolClosed, TooManyRequests)
BEFORE_IT_BEGAN = (PoolTimeout, PoolClosed, TooManyRequests)


def _fail(part: _Part, error: Exception) -> None:
    if part.done.done():
        return
    if isinstance(error, BEFORE_IT_BEGAN):
        error = UnavailableError("The database does not answer; nothing was stored. Try again.")
    elif isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        # With a SQLSTATE the server has refused the statement; without one nobody knows.
        error = UnavailableError(NOT_BEGUN if error.sqlstate else UNKNOWN)
    part.done.set_exception(error)
    part.done.exception()  # who has gone will not ask


def _as_it_is(body: bytes) -> bytes:
    return body

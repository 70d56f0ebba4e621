"""Collects the events of many requests and stores them in few commits."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

import psycopg
import structlog

from api.audit.purge import ReceiptPurge
from api.audit.store import (
    BEFORE_IT_BEGAN,
    NOT_BEGUN,
    PARTLY,
    UNKNOWN,
    EventStore,
    Group,
    Outcome,
    UnavailableError,
    ValidatedEvent,
)
from api.db.pinned_connection import PinnedConnection
from api.db.pool import Pool
from api.process import background
from ops_pipeline.audit.event import AuditEvent

GROUP_EVENTS = 1000
"""How many events share a commit, unless a single request has more."""
PART_EVENTS = 5000
"""A request with more events is stored in parts, so that no statement takes long."""
MOST_EVENTS = 200_000
MOST_BYTES = 64 * 1024 * 1024
"""How much may wait, in events and in bytes of JSON; above it, requests get 503."""
ANSWER_SECONDS = 8.0
"""How long a request waits for its commit before it gets 503 because the outcome is unknown."""
MANY_EVENTS = 16
LONG_SECONDS = 0.25
"""How many events must wait, or how long, before a second writer helps the first. A single writer makes fewer
and larger commits, each of which costs PostgreSQL as much as ten events."""

log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class _Part:
    group: Group
    size: int
    done: asyncio.Future[list[Outcome]]
    since: float
    begun: bool = False

    @property
    def events(self) -> int:
        return len(self.group.events)

    def give_up(self) -> None:
        self.fail(UnavailableError(UNKNOWN if self.begun else NOT_BEGUN))

    def fail(self, error: Exception) -> None:
        if self.done.done():
            return
        if isinstance(error, BEFORE_IT_BEGAN):
            error = UnavailableError("The database does not answer. Nothing was stored; try again.")
        elif isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
            # With a SQLSTATE the server has refused the statement; without one the outcome is unknown.
            error = UnavailableError(NOT_BEGUN if error.sqlstate else UNKNOWN)
        self.done.set_exception(error)
        self.done.exception()  # marks it as retrieved: the client may have disconnected


class AuditQueue:
    """Stores waiting events in one statement; a second task helps when many wait.

    `store` returns once the events are committed. The number of waiting events is limited.
    `record_llm_request` is called once for each new event of that type, `observe` with the type and the
    seconds of each statement.
    """

    def __init__(
        self,
        pool: Pool,
        observe: Callable[[str, float], None],
        record_llm_request: Callable[[AuditEvent], None],
    ) -> None:
        self._pool = pool
        self._observe = observe
        self._store = EventStore(record_llm_request)
        self._purge = ReceiptPurge()
        self._waiting: deque[_Part] = deque()
        self._events = 0
        self._bytes = 0
        self._ready = asyncio.Event()
        self._many = asyncio.Event()
        self._closing = False
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = [
            background.start(self._write(), "writer"),
            background.start(self._help(), "second writer"),
        ]
        return self

    async def __aexit__(self, *exception: object) -> None:
        """Stores the events that still wait, for at most as long as a request would wait."""
        self._closing = True
        self._ready.set()
        self._many.set()
        _, late = await asyncio.wait(self._tasks, timeout=ANSWER_SECONDS)
        for task in late:
            task.cancel()
        if self._waiting:
            log.error("events not stored", events=self._events, reason="the database did not answer")
        for part in self._waiting:
            part.fail(UnavailableError("The server is shutting down. Nothing was stored; try again."))

    async def store(
        self, sender: bytes, events: Sequence[ValidatedEvent], array: bytes | None = None
    ) -> list[Outcome]:
        """Stores events of a `store.sender`; returns the id of each, or why it was refused, after the commit.

        `array` is the JSON array of exactly these events, if there is one already. Raises UnavailableError,
        and psycopg.Error when our tables are missing or different.
        """
        if len(events) > PART_EVENTS:
            return await self._store_in_parts(sender, events)
        size = sum(len(memoryview(event.json)) for event in events)
        if self._closing or self._events + len(events) > MOST_EVENTS or self._bytes + size > MOST_BYTES:
            raise UnavailableError(
                "Too many events are waiting for the database, or the server is shutting down. "
                "Nothing was stored; try again."
            )
        loop = asyncio.get_running_loop()
        part = _Part(Group(sender, events, array), size, loop.create_future(), loop.time())
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

    async def _store_in_parts(self, sender: bytes, events: Sequence[ValidatedEvent]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for at in range(0, len(events), PART_EVENTS):
            try:
                outcomes += await self.store(sender, events[at : at + PART_EVENTS])
            except UnavailableError as error:
                raise UnavailableError(PARTLY if at else str(error)) from None
        return outcomes

    async def _write(self) -> None:
        database = PinnedConnection(self._pool, self._observe)
        try:
            while True:
                await self._ready.wait()
                await asyncio.sleep(0)  # includes events that arrive at the same time
                if group := self._take():
                    await self._finish(group, database)
                elif self._closing:
                    return
                else:
                    self._ready.clear()
        finally:
            await database.release()

    async def _help(self) -> None:
        database = PinnedConnection(self._pool, self._observe)
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
        now = asyncio.get_running_loop().time()
        waits_long = bool(self._waiting) and now - self._waiting[0].since >= LONG_SECONDS
        return waits_long or self._events >= MANY_EVENTS

    def _take(self) -> list[_Part]:
        """The next group to store, without requests that timed out while waiting."""
        group: list[_Part] = []
        events = 0
        while self._waiting and (not group or events + self._waiting[0].events <= GROUP_EVENTS):
            part = self._waiting.popleft()
            self._events -= part.events
            self._bytes -= part.size
            if not part.done.done():
                part.begun = True
                events += part.events
                group.append(part)
        return group

    async def _finish(self, group: list[_Part], database: PinnedConnection) -> None:
        try:
            outcomes = await self._store.store(database, [part.group for part in group])
        except Exception as error:  # each waiting request gets the error; the task must continue
            for part in group:
                part.fail(error)
            return
        for part, part_outcomes in zip(group, outcomes, strict=True):
            if not part.done.done():
                part.done.set_result(part_outcomes)
        await self._purge.run_if_due(database)

"""Collects the events of many requests and stores them in few commits."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Self
from uuid import UUID

import structlog

from api.audit.lanes import Lanes, Part
from api.audit.purge import ReceiptPurge
from api.audit.store import (
    NOTHING,
    PARTLY,
    EventStore,
    Group,
    Outcome,
    Sender,
    TooManyOfKeyError,
    UnavailableError,
    ValidatedEvent,
)
from api.db.pinned_connection import PinnedConnection
from api.db.pool import Pool
from ops_pipeline.audit.event import AuditEvent
from ops_pipeline.serving import background

GROUP_EVENTS = 1000
"""How many events share a commit, unless a single request has more."""
PART_EVENTS = 5000
"""A request with more events is stored in parts, so that no statement takes long."""
MOST_EVENTS = 200_000
MOST_BYTES = 64 * 1024 * 1024
"""How much may wait, in events and in bytes of JSON; above it, requests get 503. One key may use half of it;
above that, its requests get 429."""
ANSWER_SECONDS = 8.0
"""How long a request waits for its commit before it gets 503 because the outcome is unknown."""
LOOK_EVERY_SECONDS = 0.25
"""How often requests that have waited that long are looked for."""
MANY_EVENTS = 16
LONG_SECONDS = 0.25
"""How many events must wait, or how long, before a second writer helps the first. A single writer makes fewer
and larger commits, each of which costs PostgreSQL as much as ten events."""

log = structlog.get_logger()


class AuditQueue:
    """Stores waiting events in one statement; a second task helps when many wait.

    `store` returns once the events are committed. The number of waiting events is limited, in all and of each
    key, and keys are served in turn.
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
        self._waiting = Lanes()
        self._ready = asyncio.Event()
        self._many = asyncio.Event()
        self._being_stored: list[list[Part]] = []
        self._closing = False
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = [
            background.start(self._write(), "writer"),
            background.start(self._help(), "second writer"),
        ]
        self._clock = background.start(self._give_up_late(), "clock of the writers")
        return self

    async def __aexit__(self, *exception: object) -> None:
        """Stores the events that still wait, for at most as long as a request would wait."""
        self._closing = True
        self._ready.set()
        self._many.set()
        _, late = await asyncio.wait(self._tasks, timeout=ANSWER_SECONDS)
        for task in [*late, self._clock]:
            task.cancel()
        if self._waiting:
            log.error("events not stored", events=self._waiting.events, reason="the database did not answer")
        for part in self._waiting:
            part.fail(UnavailableError("The server is shutting down. Nothing was stored; try again."))

    async def store(
        self, sender: Sender, events: Sequence[ValidatedEvent], array: bytes | None = None
    ) -> list[Outcome]:
        """Stores events of a `store.sender`; returns the id of each, or why it was refused, after the commit.

        `array` is the JSON array of exactly these events, if there is one already. Raises UnavailableError
        (TooManyOfKeyError where the key may have no more waiting), and psycopg.Error when our tables are
        missing or different.
        """
        if len(events) > PART_EVENTS:
            return await self._store_in_parts(sender, events)
        size = sum(len(memoryview(event.json)) for event in events)
        self._refuse_too_many(sender.key_id, len(events), size)
        loop = asyncio.get_running_loop()
        part = Part(Group(sender, events, array), len(events), size, loop.create_future(), loop.time())
        self._waiting.add(part)
        self._ready.set()
        if self._waiting.events >= MANY_EVENTS:
            self._many.set()
        return await part.done

    def _refuse_too_many(self, key: UUID | None, events: int, size: int) -> None:
        waiting = self._waiting
        if self._closing:
            raise UnavailableError(f"The server is shutting down. {NOTHING}")
        if waiting.events + events > MOST_EVENTS or waiting.size + size > MOST_BYTES:
            raise UnavailableError(f"Too many events are waiting for the database. {NOTHING}")
        of_key, size_of_key = waiting.of(key)
        if of_key + events > MOST_EVENTS // 2 or size_of_key + size > MOST_BYTES // 2:
            raise TooManyOfKeyError(
                "Too many events of this key are waiting for the database. Nothing was stored; try again."
            )

    async def _store_in_parts(self, sender: Sender, events: Sequence[ValidatedEvent]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for at in range(0, len(events), PART_EVENTS):
            try:
                outcomes += await self.store(sender, events[at : at + PART_EVENTS])
            except UnavailableError:
                if not at:
                    raise
                raise UnavailableError(PARTLY) from None
        return outcomes

    async def _write(self) -> None:
        database = PinnedConnection(self._pool, self._observe)
        try:
            while True:
                await self._ready.wait()
                await asyncio.sleep(0)  # includes events that arrive at the same time
                if group := self._waiting.take(GROUP_EVENTS):
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
                while self._much_waits() and (group := self._waiting.take(GROUP_EVENTS)):
                    await self._finish(group, database)
                if self._closing:
                    return
                self._many.clear()
        finally:
            await database.release()

    def _much_waits(self) -> bool:
        if self._waiting.events >= MANY_EVENTS:
            return True
        since = self._waiting.waits_since()
        return since is not None and asyncio.get_running_loop().time() - since >= LONG_SECONDS

    async def _give_up_late(self) -> None:
        # One timer for all: one for each request took a fifteenth of a post's processor time.
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(LOOK_EVERY_SECONDS)
            begun_before = loop.time() - ANSWER_SECONDS
            stored_now = [
                part for group in self._being_stored for part in group if part.since <= begun_before
            ]
            for part in [*self._waiting.take_late(begun_before), *stored_now]:
                part.give_up()

    async def _finish(self, group: list[Part], database: PinnedConnection) -> None:
        self._being_stored.append(group)
        try:
            outcomes = await self._store.store(database, [part.group for part in group])
        except Exception as error:  # each waiting request gets the error; the task must continue
            for part in group:
                part.fail(error)
            return
        finally:
            self._being_stored.remove(group)
        for part, part_outcomes in zip(group, outcomes, strict=True):
            if not part.done.done():
                part.done.set_result(part_outcomes)
        await self._purge.run_if_due(database)

"""The limits of each key, and those that all keys share."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from datetime import timedelta
from typing import Literal
from uuid import UUID

from api.limits.usage import MOST_WAITING, WAIT_SECONDS, Usage
from api.problems import Problem, too_many, unavailable
from api.process.open_files import most_clients
from ops_pipeline.serving.gate import Gate, GateFullError
from ops_pipeline.settings import Settings

MOST_WIDE_READS = 4
"""Reads of all keys that open most partitions of the audit log. Each holds a lock for every partition and for
each of its indexes, of which the server has room for `max_locks_per_transaction` times its connections."""
MANY_DAYS = timedelta(days=16)
"""A read of a longer period is wide."""
MOST_BODY_BYTES = 256 * 1024 * 1024
MOST_BODY_BYTES_OF_KEY = MOST_BODY_BYTES // 2

Streams = Literal["exports", "tails"]


class Limits:
    """Admits what keys ask for, or refuses it with a Problem: 429 where the key has too much in use, 503
    where all keys together have."""

    def __init__(self, settings: Settings) -> None:
        # The other half of the connections is left to other keys.
        self.most_requests = most_clients() // 2
        self._most_streams: dict[Streams, int] = {
            "exports": settings.api_exports_per_key,
            "tails": settings.api_tails_per_key,
        }
        self._events_per_minute = settings.api_events_per_minute
        self._usages: dict[UUID, Usage] = {}
        self._wide = Gate(MOST_WIDE_READS, MOST_WAITING, WAIT_SECONDS)
        self._body_bytes = 0

    def of(self, key_id: UUID) -> Usage:
        """What that key has in use."""
        usage = self._usages.get(key_id)
        if usage is None:
            usage = self._usages[key_id] = Usage()
        return usage

    def begin_request(self, key_id: UUID) -> Usage:
        """Counts a request; the caller subtracts it from `requests` at its end."""
        usage = self.of(key_id)
        if usage.requests >= self.most_requests:
            raise too_many(
                f"The key has {usage.requests} requests in flight, the limit. Nothing was stored; try again."
            )
        usage.requests += 1
        return usage

    def count_events(self, key_id: UUID, events: int) -> None:
        """Counts events to be stored, where their number is limited."""
        if self._events_per_minute is None:
            return
        seconds = self.of(key_id).count_events(events, self._events_per_minute)
        if seconds is not None:
            raise too_many(
                f"The key may store {self._events_per_minute:,} events a minute "
                "(OPS_API_EVENTS_PER_MINUTE). Nothing was stored; send them again later.",
                seconds,
            )

    def check_stream(self, key_id: UUID, kind: Streams) -> None:
        """Refuses another export or tail of a key that has as many as it may have."""
        most = self._most_streams[kind]
        if getattr(self.of(key_id), kind) >= most:
            raise too_many(f"The key has {most} {kind} open, the limit; end one of them, or try again later.")

    @asynccontextmanager
    async def streaming(self, key_id: UUID, kind: Streams) -> AsyncIterator[None]:
        """An export or tail is open during the block."""
        self.check_stream(key_id, kind)
        usage = self.of(key_id)
        setattr(usage, kind, getattr(usage, kind) + 1)
        try:
            yield
        finally:
            setattr(usage, kind, getattr(usage, kind) - 1)

    def reading(self, key_id: UUID, *, wide: bool = False) -> AbstractAsyncContextManager[None]:
        """A statement that reads runs during the block; `wide`: it may open most partitions."""
        usage = self.of(key_id)
        return self._reading_widely(usage) if wide else _Admission(usage.reads, _too_many_queries)

    @asynccontextmanager
    async def _reading_widely(self, usage: Usage) -> AsyncIterator[None]:
        async with (
            _Admission(usage.reads, _too_many_queries),
            _Admission(usage.wide, _too_many_queries),
            _Admission(self._wide, _too_many_long_periods),
        ):
            yield

    @asynccontextmanager
    async def large_body(self, key_id: UUID) -> AsyncIterator[None]:
        """A large body is checked during the block; others of the key wait."""
        try:
            await self.of(key_id).bodies.__aenter__()
        except GateFullError:
            raise too_many(
                "Too many large bodies of the key wait to be checked. Nothing was stored; try again."
            ) from None
        try:
            yield
        finally:
            await self.of(key_id).bodies.__aexit__()

    @contextmanager
    def body(self, key_id: UUID) -> Iterator["BodyBytes"]:
        """Counts the bytes of a request's body, which are in memory until the end of the block."""
        counted = BodyBytes(self, self.of(key_id))
        try:
            yield counted
        finally:
            counted.release()

    def take_bytes(self, usage: Usage, size: int) -> None:
        """Counts bytes of bodies in memory."""
        if usage.body_bytes + size > MOST_BODY_BYTES_OF_KEY:
            raise too_many(
                f"The bodies of the key's requests in flight exceed {MOST_BODY_BYTES_OF_KEY:,} bytes. "
                "Nothing was stored; send them again, fewer at a time."
            )
        if self._body_bytes + size > MOST_BODY_BYTES:
            raise unavailable(
                f"The bodies of all requests in flight exceed {MOST_BODY_BYTES:,} bytes. Nothing was stored; "
                "try again."
            )
        usage.body_bytes += size
        self._body_bytes += size

    def give_bytes(self, usage: Usage, size: int) -> None:
        """The bytes are no longer in memory."""
        usage.body_bytes -= size
        self._body_bytes -= size


class _Admission(AbstractAsyncContextManager[None]):
    """A gate that refuses with a Problem."""

    __slots__ = ("_gate", "_refusal")

    def __init__(self, gate: Gate, refusal: Callable[[], Problem]) -> None:
        self._gate = gate
        self._refusal = refusal

    async def __aenter__(self) -> None:
        try:
            await self._gate.__aenter__()
        except GateFullError:
            raise self._refusal() from None

    async def __aexit__(self, *_: object) -> None:
        await self._gate.__aexit__()


def _too_many_queries() -> Problem:
    return too_many(
        "The key has too many queries running and waiting. Ask for shorter periods, or send fewer at a time."
    )


def _too_many_long_periods() -> Problem:
    return unavailable(
        f"{MOST_WIDE_READS} queries of long periods are running, the limit; try again, or specify startDate "
        f"and endDate at most {MANY_DAYS.days} days apart"
    )


class BodyBytes:
    """The bytes of one request's body."""

    __slots__ = ("_limits", "_taken", "_usage")

    def __init__(self, limits: Limits, usage: Usage) -> None:
        self._limits = limits
        self._usage = usage
        self._taken = 0

    def take(self, size: int) -> None:
        """Counts so many more. Raises Problem 429 or 503."""
        self._limits.take_bytes(self._usage, size)
        self._taken += size

    def release(self) -> None:
        """None of them are in memory any more."""
        self._limits.give_bytes(self._usage, self._taken)
        self._taken = 0

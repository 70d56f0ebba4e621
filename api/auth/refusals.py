"""Leaves a trace of refused requests in the audit log: those without a valid key by address and minute, and
each one that lacked a scope."""

import asyncio
import heapq
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Self
from uuid import UUID

import msgspec
import psycopg
import structlog
from litestar.connection import ASGIConnection

from api.audit.queue import AuditQueue
from api.audit.store import Refusal, UnavailableError, ValidatedEvent, sender
from api.auth.caller import Caller
from api.auth.peer import client_address, counted_as
from api.auth.wrong_keys import WrongKeys
from api.problems import too_many
from api.process import background
from ops_pipeline.audit.event import OWN_EVENT_TYPE, AuditEvent
from ops_pipeline.settings import Networks

EVERY_SECONDS = 60.0
MOST_ADDRESSES = 10_000
"""How many addresses are told apart in a minute; requests of others are only counted."""
MOST_RECORDED = 100
"""How many addresses get an event each, those with the most requests; the others share one."""
MOST_KEY_IDS = 10

AnyConnection = ASGIConnection[Any, Any, Any, Any]

log = structlog.get_logger()


@dataclass(slots=True)
class Attempts:
    """Requests of one address, or of several, that had no valid key."""

    since: datetime
    until: datetime
    peer: str | None = None
    without_key: int = 0
    wrong_key: int = 0
    not_looked_up: int = 0
    key_ids: set[UUID] = field(default_factory=set)

    @property
    def requests(self) -> int:
        return self.without_key + self.wrong_key + self.not_looked_up

    def add(self, other: "Attempts") -> None:
        """Adds those of another address."""
        self.since = min(self.since, other.since)
        self.until = max(self.until, other.until)
        self.without_key += other.without_key
        self.wrong_key += other.wrong_key
        self.not_looked_up += other.not_looked_up
        self.key_ids |= set(islice(other.key_ids - self.key_ids, MOST_KEY_IDS - len(self.key_ids)))


class Refusals:
    """Counts refused requests in memory, where they cost nothing; a background task stores events of them.

    Requests without a valid key (401), and those with an unknown key of an address that has sent too many
    (429), become one event an address and minute, at most 101 events a minute. A request that lacks a scope
    (403) becomes an event of its own before it is answered. While the events of a minute cannot be stored
    they are kept and retried; on shutdown what was not stored is logged.
    """

    def __init__(self, queue: AuditQueue, trusted_proxies: Networks) -> None:
        self._queue = queue
        self._trusted_proxies = trusted_proxies
        self._wrong_keys = WrongKeys()
        self._attempts: dict[str | None, Attempts] = {}
        self._others: Attempts | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = background.start(self._record_each_minute(), "refused requests")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        await self.record()
        if unrecorded := sum(
            one.requests for one in [*self._attempts.values(), self._others] if one is not None
        ):
            log.error("refused requests not recorded", requests=unrecorded)

    def without_key(self, connection: AnyConnection) -> None:
        """The request had no key."""
        self._of(connection).without_key += 1

    def wrong_key(self, connection: AnyConnection, key_id: UUID | None) -> None:
        """The request had a key that does not exist, or the revoked or expired one with that id."""
        self._wrong_keys.count(counted_as(self._address(connection)))
        attempts = self._of(connection)
        attempts.wrong_key += 1
        if key_id is not None and len(attempts.key_ids) < MOST_KEY_IDS:
            attempts.key_ids.add(key_id)

    def refuse_too_many(self, connection: AnyConnection) -> None:
        """Raises Problem 429 when too many wrong keys came from the request's address in this minute."""
        seconds = self._wrong_keys.seconds_to_wait(counted_as(self._address(connection)))
        if seconds is None:
            return
        self._of(connection).not_looked_up += 1
        raise too_many("Too many requests with a wrong key came from this address; check the key.", seconds)

    async def lacking_scope(self, connection: AnyConnection, caller: Caller, scope: str) -> None:
        """Records that the key lacks the scope that the request needs. A failure is logged."""
        event = AuditEvent(
            event_type=OWN_EVENT_TYPE,
            action="scope.refused",
            status="failure",
            resource_type="api_key",
            resource_id=caller.id,
            details={
                "key_id": str(caller.id),
                "scope": scope,
                "method": connection.scope["method"],  # type: ignore[typeddict-item]  # an HTTP request
                "route": connection.scope.get("path_template"),
            },
            ip_address=self._address(connection),
            created_by=caller.name[:255],
        )
        if not await self._stored(event, caller.id, _peer(connection)):
            log.error("refused request not recorded", key_id=str(caller.id), scope=scope)

    async def record(self) -> None:
        """Stores an event for each address that was counted; those that cannot be stored are counted on."""
        counted, others = self._attempts, self._others
        self._attempts, self._others = {}, None
        if len(counted) > MOST_RECORDED:
            named = heapq.nlargest(MOST_RECORDED, counted, key=lambda address: counted[address].requests)
            for address in counted.keys() - set(named):
                others = _sum(others, counted.pop(address))
        one_each = [self._record(address, attempts) for address, attempts in counted.items()]
        await asyncio.gather(*one_each, *([self._record_others(others)] if others is not None else []))

    async def _record_each_minute(self) -> None:
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            await self.record()

    async def _record(self, address: str | None, attempts: Attempts) -> None:
        if not await self._stored(_event(address, attempts, {}), None, attempts.peer):
            self._attempts[address] = _sum(self._attempts.get(address), attempts)

    async def _record_others(self, others: Attempts) -> None:
        if not await self._stored(_event(None, others, {"other_addresses": True}), None, None):
            self._others = _sum(self._others, others)

    async def _stored(self, event: AuditEvent, key_id: UUID | None, peer: str | None) -> bool:
        validated = ValidatedEvent(msgspec.json.encode(event))
        try:
            (outcome,) = await self._queue.store(sender(key_id, peer), [validated])
        except (UnavailableError, psycopg.Error) as error:
            log.warning("refused requests not recorded yet", error=type(error).__name__)
            return False
        return not isinstance(outcome, Refusal)

    def _of(self, connection: AnyConnection) -> Attempts:
        address = counted_as(self._address(connection))
        now = datetime.now(UTC)
        attempts = self._attempts.get(address)
        if attempts is None and len(self._attempts) < MOST_ADDRESSES:
            attempts = self._attempts[address] = Attempts(now, now, _peer(connection))
        elif attempts is None:
            attempts = self._others = self._others or Attempts(now, now)
        attempts.until = now
        return attempts

    def _address(self, connection: AnyConnection) -> str | None:
        return client_address(connection, self._trusted_proxies)


def _peer(connection: AnyConnection) -> str | None:
    return connection.client.host if connection.client else None


def _sum(one: Attempts | None, other: Attempts) -> Attempts:
    if one is None:
        return other
    one.add(other)
    return one


def _event(address: str | None, attempts: Attempts, more: dict[str, Any]) -> AuditEvent:
    counts = {
        "without_key": attempts.without_key,
        "wrong_key": attempts.wrong_key,
        "not_looked_up": attempts.not_looked_up,
    }
    details = {
        "requests": attempts.requests,
        **{name: count for name, count in counts.items() if count},
        "from": attempts.since.isoformat(),
        "until": attempts.until.isoformat(),
        **({"key_ids": sorted(map(str, attempts.key_ids))} if attempts.key_ids else {}),
        **more,
    }
    return AuditEvent(
        event_type=OWN_EVENT_TYPE,
        action="key.refused",
        status="failure",
        resource_type="api_key",
        details=details,
        ip_address=address,
    )

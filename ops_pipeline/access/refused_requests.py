"""Leaves a trace of refused requests in the audit log: those without a valid key by address and minute, and
each one whose key was not for it."""

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Self
from uuid import UUID

import structlog

from ops_pipeline.access.client_address import Client, counted_as
from ops_pipeline.access.wrong_keys import WrongKeys
from ops_pipeline.audit.event import OWN_EVENT_TYPE, AuditEvent
from ops_pipeline.serving import background

EVERY_SECONDS = 60.0
MOST_ADDRESSES = 10_000
"""How many addresses are distinguished in a minute; requests of others are only counted."""
MOST_RECORDED = 100
"""How many addresses get an event each, those with the most requests; the others share one."""
MOST_KEY_IDS = 10

Store = Callable[[AuditEvent, UUID | None, str | None], Awaitable[bool]]
"""Stores an event with the id of its key and the address of its peer; False when it cannot be stored now."""

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


class RefusedRequests:
    """Counts refused requests in memory, where they cost nothing; a background task stores events of them.

    Requests without a valid key (401), and those with an unknown key of an address that has sent too many
    (429), become one event an address and minute, at most 101 events a minute. A request whose key is not for
    it (403) becomes an event of its own before it is answered. While the events of a minute cannot be stored
    they are kept and retried; on shutdown what was not stored is logged.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
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

    def without_key(self, client: Client) -> None:
        """The request had no key."""
        self._of(client).without_key += 1

    def wrong_key(self, client: Client, key_id: UUID | None) -> None:
        """The request had a key that does not exist, or the revoked or expired one with that id."""
        self._wrong_keys.count(counted_as(client.address))
        attempts = self._of(client)
        attempts.wrong_key += 1
        if key_id is not None and len(attempts.key_ids) < MOST_KEY_IDS:
            attempts.key_ids.add(key_id)

    def seconds_to_wait(self, client: Client) -> float | None:
        """For how long no unknown key of the client's address is looked up, because too many wrong ones came
        from it in this minute, or are being looked up; the request is counted. None when its key is to be
        looked up, in the block `looking_up`."""
        seconds = self._wrong_keys.seconds_to_wait(counted_as(client.address))
        if seconds is not None:
            self._of(client).not_looked_up += 1
        return seconds

    def looking_up(self, client: Client) -> AbstractContextManager[None]:
        """An unknown key of the client is looked up during the block."""
        return self._wrong_keys.looking_up(counted_as(client.address))

    async def not_permitted(
        self, client: Client, action: str, key_id: UUID, name: str, details: Mapping[str, Any]
    ) -> None:
        """Records that a valid key is not for what the request asks; `action`: `scope.refused` or
        `database.refused`. A failure is logged."""
        event = AuditEvent(
            event_type=OWN_EVENT_TYPE,
            action=action,
            status="failure",
            resource_type="api_key",
            resource_id=key_id,
            details={"key_id": str(key_id), **details},
            ip_address=client.address,
            created_by=name[:255],
        )
        if not await self._store(event, key_id, client.peer):
            log.error("refused request not recorded", key_id=str(key_id), action=action)

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
        if not await self._store(_event(address, attempts, {}), None, attempts.peer):
            self._attempts[address] = _sum(self._attempts.get(address), attempts)

    async def _record_others(self, others: Attempts) -> None:
        if not await self._store(_event(None, others, {"other_addresses": True}), None, None):
            self._others = _sum(self._others, others)

    def _of(self, client: Client) -> Attempts:
        address = counted_as(client.address)
        now = datetime.now(UTC)
        attempts = self._attempts.get(address)
        if attempts is None and len(self._attempts) < MOST_ADDRESSES:
            attempts = self._attempts[address] = Attempts(now, now, client.peer)
        elif attempts is None:
            attempts = self._others = self._others or Attempts(now, now)
        attempts.until = now
        return attempts


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

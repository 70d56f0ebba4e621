"""Stores a group of events in one statement. If PostgreSQL refuses one event, the others are stored."""

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain, islice
from uuid import UUID

import msgspec
import psycopg
import structlog
from psycopg.types.json import Jsonb
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests

import sql
from api.db.pinned_connection import PinnedConnection
from ops_pipeline.audit.event import AuditEvent
from ops_pipeline.audit.store import TAKEN, conflicting, storing

TRIES = 3

MOST_REFUSED = 100
"""How many events of one request PostgreSQL may refuse: finding each takes several statements, for which
other requests wait."""

STALE_SCHEMA = (
    psycopg.errors.ForeignKeyViolation,
    psycopg.errors.UndefinedTable,
    psycopg.errors.UndefinedFunction,
)
"""Errors raised when the application's table of users was created or dropped since it was looked up."""

OF_ONE_EVENT = (psycopg.DataError, psycopg.errors.ProgramLimitExceeded, psycopg.errors.CheckViolation)
"""Errors that one event may cause. The last one: no partition accepts its date at present."""

OF_ITS_TIME = (
    psycopg.errors.CheckViolation,
    psycopg.errors.InvalidDatetimeFormat,
    psycopg.errors.DatetimeFieldOverflow,
    psycopg.errors.InvalidTimeZoneDisplacementValue,
)

BEFORE_IT_BEGAN = (PoolTimeout, PoolClosed, TooManyRequests)
DOWN = (psycopg.Error, *BEFORE_IT_BEGAN)

NOTHING = "Nothing was stored; try again."
NOT_BEGUN = f"The database is too slow to accept more events. {NOTHING}"
UNKNOWN = (
    "The database did not answer in time. The events may have been stored, or may still be. Send them again "
    "with the same ids or Idempotency-Key: they are stored once."
)
PARTLY = (
    "The database stopped answering before all events were stored; some may have been. Send them again "
    "with the same ids or Idempotency-Key: each is stored once."
)

log = structlog.get_logger()


class UnavailableError(Exception):
    """Events cannot be stored now. The message says whether they may have been stored anyway."""


class TooManyOfKeyError(UnavailableError):
    """The key has too many events waiting. Nothing was stored."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a valid event was not stored: PostgreSQL refused it, or another event has its id (`is_conflict`).

    `for_now`: a later try may succeed.
    """

    field: str
    reason: str
    for_now: bool = False
    is_conflict: bool = False


CONFLICT = Refusal("id", TAKEN, is_conflict=True)
NOT_TRIED = Refusal(
    "",
    f"was not tried, because PostgreSQL had refused {MOST_REFUSED} other events of this request; send it "
    "again without those",
)


@dataclass(frozen=True, slots=True)
class ValidatedEvent:
    """A valid event: its JSON, and the decoded event if it is an LLM request to be counted."""

    json: bytes | msgspec.Raw
    llm_request: AuditEvent | None = None


Outcome = UUID | Refusal


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends events: the key (None: this service itself, for requests without one), and what the server
    knows of it, as the beginning of a group in JSON."""

    key_id: UUID | None
    json: bytes


@lru_cache(maxsize=4096)
def sender(key_id: UUID | None, peer: str | None) -> Sender:
    """The sender with that key and address of the peer (None: a Unix socket)."""
    try:
        # A link-local address has a zone ("fe80::1%eth0"), which the type inet does not support.
        address = str(ipaddress.ip_address(peer.partition("%")[0])) if peer is not None else None
    except ValueError:
        address = None
    known = {"origin": "api", "keyId": key_id, "peerAddress": address}
    return Sender(key_id, msgspec.json.encode(known)[:-1] + b',"events":')


@dataclass(frozen=True, slots=True)
class Group:
    """Events of one request, with their `sender`. `array`: the JSON array of exactly these events, if there
    is one already."""

    sender: Sender
    events: Sequence[ValidatedEvent]
    array: bytes | None = field(default=None, repr=False)

    def json(self) -> bytes:
        """The group in the form that the statement takes."""
        array = self.array
        if array is None:
            array = b"[" + b",".join([event.json for event in self.events]) + b"]"
        return self.sender.json + array + b"}"

    def part(self, begin: int, end: int) -> "Group":
        """Some of the events."""
        return Group(self.sender, self.events[begin:end])


class EventStore:
    """Stores groups of events, each on the given connection.

    Where PostgreSQL refuses one event, the groups are halved until that event is found; the other events are
    stored. `record_llm_request` is called once for each new event of that type.
    """

    def __init__(self, record_llm_request: Callable[[AuditEvent], None]) -> None:
        self._record_llm_request = record_llm_request
        self._refers_to_users: bool | None = None

    async def store(self, database: PinnedConnection, groups: Sequence[Group]) -> list[list[Outcome]]:
        """The outcomes of each group, after the commit.

        Raises UnavailableError when only some may have been stored, otherwise the errors of PostgreSQL or the
        pool.
        """
        try:
            return await self._insert(database, groups)
        except OF_ONE_EVENT as error:
            if len(groups) == 1 and len(groups[0].events) == 1:
                return [[await _refusal(database, groups[0].events[0], error)]]
        log.warning("events refused, searching for the invalid ones", groups=len(groups))
        try:
            return await self._halve(database, groups)
        except DOWN:
            raise UnavailableError(PARTLY) from None

    async def _halve(self, database: PinnedConnection, groups: Sequence[Group]) -> list[list[Outcome]]:
        if len(groups) == 1:
            return [await self._halve_group(database, groups[0], [])]
        outcomes: list[list[Outcome]] = []
        for half in (groups[: len(groups) // 2], groups[len(groups) // 2 :]):
            try:
                outcomes += await self._insert(database, half)
            except OF_ONE_EVENT:
                outcomes += await self._halve(database, half)
        return outcomes

    async def _halve_group(
        self, database: PinnedConnection, group: Group, refused: list[Refusal]
    ) -> list[Outcome]:
        """The outcomes of a group that PostgreSQL has refused; adds to `refused`."""
        outcomes: list[Outcome] = []
        middle = (len(group.events) + 1) // 2
        for half in (group.part(0, middle), group.part(middle, len(group.events))):
            if len(refused) >= MOST_REFUSED:
                outcomes += [NOT_TRIED] * len(half.events)
                continue
            if not half.events:
                continue
            try:
                outcomes += (await self._insert(database, [half]))[0]
            except OF_ONE_EVENT as error:
                if len(half.events) > 1:
                    outcomes += await self._halve_group(database, half, refused)
                else:
                    refused.append(await _refusal(database, half.events[0], error))
                    outcomes.append(refused[-1])
        return outcomes

    async def _insert(self, database: PinnedConnection, groups: Sequence[Group]) -> list[list[Outcome]]:
        batch = Jsonb(b"[" + b",".join([group.json() for group in groups]) + b"]", dumps=_as_it_is)
        for tries_left in range(TRIES - 1, -1, -1):
            try:
                statement = storing(await self._has_users(database))
                ((ids, _, new, times, with_other_times),) = await database.rows(
                    "insert", statement, {"events": batch}
                )
            except STALE_SCHEMA:
                self._refers_to_users = None
                if not tries_left:
                    raise
            except (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure):
                if not tries_left:
                    raise
            else:
                break
        self._count(groups, ids, set(new))
        outcomes: list[Outcome] = list(ids)
        if times is not None:
            try:
                found = await database.rows(
                    "select", sql.get("audit/compare"), {"events": batch, "times": times}
                )
            except (psycopg.OperationalError, *BEFORE_IT_BEGAN) as error:
                raise UnavailableError(UNKNOWN) from error
            for place in conflicting(found, with_other_times):
                outcomes[place] = CONFLICT
        rest = iter(outcomes)
        return [list(islice(rest, len(group.events))) for group in groups]

    async def _has_users(self, database: PinnedConnection) -> bool:
        if self._refers_to_users is None:
            ((refers,),) = await database.rows("select", sql.get("audit/refers_to_users"))
            self._refers_to_users = bool(refers)
        return self._refers_to_users

    def _count(self, groups: Sequence[Group], ids: list[UUID], new: set[UUID]) -> None:
        if not new:
            return
        events = chain.from_iterable(group.events for group in groups)
        for event, event_id in zip(events, ids, strict=True):
            if event.llm_request is not None and event_id in new:
                new.remove(event_id)  # an event that is twice in the group counts once
                self._record_llm_request(event.llm_request)


async def _refusal(database: PinnedConnection, event: ValidatedEvent, error: psycopg.Error) -> Refusal:
    if isinstance(error, psycopg.errors.UntranslatableCharacter):
        return await _untranslatable(database, event, error)
    # Every other field was checked before: PostgreSQL only refuses dates and zones.
    field = "createdAt" if isinstance(error, OF_ITS_TIME) else "details"
    reason = f"PostgreSQL refused it: {error.diag.message_primary}"
    return Refusal(field, reason, for_now=isinstance(error, psycopg.errors.CheckViolation))


async def _untranslatable(database: PinnedConnection, event: ValidatedEvent, error: psycopg.Error) -> Refusal:
    """Finds the field with a character outside the database's encoding, by asking PostgreSQL for each."""
    for name, value in msgspec.json.decode(event.json, type=dict[str, msgspec.Raw]).items():
        text = msgspec.json.encode(msgspec.json.decode(value)).decode()
        try:
            await database.rows("select", sql.get("api/audit/takes_text"), {"text": text})
        except psycopg.errors.UntranslatableCharacter as refused:
            return Refusal(name, f"PostgreSQL refused it: {refused.diag.message_primary}")
    return Refusal("details", f"PostgreSQL refused it: {error.diag.message_primary}")


def _as_it_is(body: bytes) -> bytes:
    return body

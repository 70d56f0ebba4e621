"""Stores a group of events in one statement. If PostgreSQL refuses one event, the others are stored."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

import msgspec
import psycopg
import structlog
from psycopg.types.json import Jsonb
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests

import sql
from api.db.pinned_connection import PinnedConnection
from ops_pipeline.audit.event import AuditEvent
from ops_pipeline.audit.store import storing

TRIES = 3

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

NOT_BEGUN = "The database is too slow to accept more events. Nothing was stored; try again."
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


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why PostgreSQL refused a valid event. `for_now`: a later try may succeed."""

    field: str
    reason: str
    for_now: bool = False


@dataclass(frozen=True, slots=True)
class ValidatedEvent:
    """A valid event: its JSON, and the decoded event if it is an LLM request to be counted."""

    json: bytes | msgspec.Raw
    llm_request: AuditEvent | None = None


Outcome = UUID | Refusal


class EventStore:
    """Stores groups of events, each on the given connection.

    A group that PostgreSQL refuses because of one event is halved until that event is found; the other
    events are stored. `record_llm_request` is called once for each new event of that type.
    """

    def __init__(self, record_llm_request: Callable[[AuditEvent], None]) -> None:
        self._record_llm_request = record_llm_request
        self._refers_to_users: bool | None = None

    async def store(
        self, database: PinnedConnection, events: Sequence[ValidatedEvent], whole: bytes | None = None
    ) -> list[Outcome]:
        """The outcome of each event, after the commit.

        `whole` is the JSON array of exactly these events, if there is one already. Raises UnavailableError
        when only some may have been stored, otherwise the errors of PostgreSQL or the pool.
        """
        try:
            return list(await self._insert(database, events, whole))
        except OF_ONE_EVENT as error:
            if len(events) == 1:
                return [await _refusal(database, events[0], error)]
        log.warning("group refused, searching for the invalid event", events=len(events))
        try:
            return await self._halve(database, events)
        except DOWN:
            raise UnavailableError(PARTLY) from None

    async def _halve(self, database: PinnedConnection, events: Sequence[ValidatedEvent]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for half in (events[: len(events) // 2], events[len(events) // 2 :]):
            try:
                outcomes += await self._insert(database, half)
            except OF_ONE_EVENT as error:
                if len(half) > 1:
                    outcomes += await self._halve(database, half)
                else:
                    outcomes.append(await _refusal(database, half[0], error))
        return outcomes

    async def _insert(
        self, database: PinnedConnection, events: Sequence[ValidatedEvent], whole: bytes | None = None
    ) -> list[UUID]:
        body = whole if whole is not None else b"[" + b",".join([event.json for event in events]) + b"]"
        values = {"events": Jsonb(body, dumps=_as_it_is)}
        for tries_left in range(TRIES - 1, -1, -1):
            try:
                statement = storing(await self._has_users(database))
                ((ids, _, new),) = await database.rows("insert", statement, values)
            except STALE_SCHEMA:
                self._refers_to_users = None
                if not tries_left:
                    raise
            except (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure):
                if not tries_left:
                    raise
            else:
                self._count(events, ids, set(new))
                return list(ids)
        raise AssertionError("the last try returns or raises")

    async def _has_users(self, database: PinnedConnection) -> bool:
        if self._refers_to_users is None:
            ((refers,),) = await database.rows("select", sql.get("audit/refers_to_users"))
            self._refers_to_users = bool(refers)
        return self._refers_to_users

    def _count(self, events: Sequence[ValidatedEvent], ids: list[UUID], new: set[UUID]) -> None:
        if not new:
            return
        for event, event_id in zip(events, ids, strict=True):
            if event.llm_request is not None and event_id in new:
                new.remove(event_id)  # an event that is twice in the group counts once
                self._record_llm_request(event.llm_request)


async def _refusal(database: PinnedConnection, event: ValidatedEvent, error: psycopg.Error) -> Refusal:
    if isinstance(error, psycopg.errors.UntranslatableCharacter):
        return await _untranslatable(database, event, error)
    # Every other field was checked before: PostgreSQL only refuses dates and zones, and numbers in details.
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

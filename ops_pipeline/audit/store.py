"""Stores audit events in `audit_logs` and queries them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, cached_property
from typing import Any, Literal, LiteralString, cast
from uuid import UUID

import msgspec
import psycopg
from psycopg import sql as compose

import sql
from ops_pipeline.audit.cursor import Position
from ops_pipeline.audit.event import AuditEvent
from ops_pipeline.audit.filters import Filters
from ops_pipeline.audit.pages import page_steps, read, read_async
from ops_pipeline.postgres.connection import Connection, Statement, row, scalar

AsyncConnection = psycopg.AsyncConnection[tuple[Any, ...]]


Origin = Literal["import", "maintenance", "sql"]
"""How an event was stored, in the column `origin`; `api` is only written by the API."""


@dataclass(frozen=True, slots=True)
class Stored:
    """The result of a batch: new rows, and events that had been stored before.

    `conflicts`: the places in the batch, from 0, of events that were not stored because another event has
    their id."""

    stored: int
    duplicate: int
    conflicts: tuple[int, ...] = ()


class ConflictError(ValueError):
    """The event was not stored, because another event has its id."""

    def __init__(self, event_id: UUID) -> None:
        super().__init__(f"id: {event_id} {TAKEN}")


TAKEN = (
    "is the id of a stored event with other content. A retry must have the same content; another event needs "
    "an id of its own"
)


class AuditLog(msgspec.Struct, frozen=True, kw_only=True):
    """A stored event: a row of `audit_logs`. The fields from `received_at` on are only set by the server."""

    id: UUID
    event_type: str
    user_id: UUID | None
    resource_type: str | None
    resource_id: UUID | None
    action: str | None
    details: Any
    ip_address: str | None
    status: str | None
    duration_ms: int | None
    created_at: datetime
    created_by: str | None
    received_at: datetime | None = None
    key_id: UUID | None = None
    peer_address: str | None = None
    subject_id: UUID | None = None
    origin: str | None = None

    @property
    def position(self) -> Position:
        """The position after this event, from which a list continues."""
        return Position(self.created_at, self.id)


class AuditStore:
    """Stores and queries events over a connection.

    If the connection is in a transaction, the methods are part of it; otherwise it must be in autocommit
    mode, and each method has committed when it returns. `AsyncAuditStore` is the asynchronous version.
    Every method raises psycopg.Error: OperationalError when the database does not answer or a timeout of the
    session expires; a write is then stored completely or not at all.
    """

    def __init__(self, connection: Connection, origin: Origin = "sql") -> None:
        self.connection = connection
        self._origin: Origin = origin

    def log(self, event: AuditEvent) -> UUID:
        """Stores one event; returns its id. An event that was stored before is not changed.

        Raises ConflictError when another event has its id.
        """
        return _only_id(*self._store([event]))

    def log_many(self, events: Iterable[AuditEvent]) -> Stored:
        """Stores all events, or none, in one statement; a few thousand at a time is fastest.

        An event with the id of one that was stored in the last 24 hours, or with its id and time, is a
        duplicate if the content is the same, otherwise a conflict; the stored one is not changed.
        """
        return self._store(list(events))[1]

    def query_logs(self, filters: Filters) -> list[AuditLog]:
        """The events that match, newest first, at most `filters.limit` after `filters.offset`.

        For the next page: `replace(filters, after=last.position)`. No event that was stored before the first
        page is skipped or repeated, even while others are stored. Raises SearchError.
        """
        found = read(
            page_steps(filters, datetime.now(UTC)),
            lambda asked: row(self.connection, asked.statement, asked.values),
        )
        return msgspec.json.decode(found.data, type=list[AuditLog])

    def _store(self, events: list[AuditEvent]) -> tuple[list[UUID], Stored]:
        if not events:
            return [], Stored(0, 0)
        batch = as_json(events, self._origin)
        ids, stored, _, times, with_other_times = row(self.connection, self._storing, {"events": batch})
        found = (
            self.connection.execute(sql.get("audit/compare"), {"events": batch, "times": times}).fetchall()
            if times
            else []
        )
        return ids, _result(stored, len(ids), conflicting(found, with_other_times))

    @cached_property
    def _storing(self) -> LiteralString:
        return storing(bool(scalar(self.connection, sql.get("audit/refers_to_users"))))


class AsyncAuditStore:
    """`AuditStore` over an asynchronous connection, with the same methods and promises."""

    def __init__(self, connection: AsyncConnection) -> None:
        self.connection = connection
        self._refers_to_users: bool | None = None

    async def log(self, event: AuditEvent) -> UUID:
        """Stores one event; returns its id. Raises ConflictError when another event has it."""
        return _only_id(*await self._store([event]))

    async def log_many(self, events: Iterable[AuditEvent]) -> Stored:
        """Stores all events, or none; an event that was stored before is not changed."""
        return (await self._store(list(events)))[1]

    async def query_logs(self, filters: Filters) -> list[AuditLog]:
        """The matching events, newest first. Raises SearchError."""
        found = await read_async(
            page_steps(filters, datetime.now(UTC)),
            lambda asked: self._row(asked.statement, asked.values),
        )
        return msgspec.json.decode(found.data, type=list[AuditLog])

    async def _store(self, events: list[AuditEvent]) -> tuple[list[UUID], Stored]:
        if not events:
            return [], Stored(0, 0)
        if self._refers_to_users is None:
            (self._refers_to_users,) = await self._row(sql.get("audit/refers_to_users"))
        batch = as_json(events, "sql")
        ids, stored, _, times, with_other_times = await self._row(
            storing(bool(self._refers_to_users)), {"events": batch}
        )
        found = []
        if times:
            cursor = await self.connection.execute(
                sql.get("audit/compare"), {"events": batch, "times": times}
            )
            found = await cursor.fetchall()
        return ids, _result(stored, len(ids), conflicting(found, with_other_times))

    async def _row(self, statement: Statement, values: Any = None) -> tuple[Any, ...]:
        cursor = await self.connection.execute(statement, values)
        return cast("tuple[Any, ...]", await cursor.fetchone())


@cache
def storing(refers_to_users: bool) -> LiteralString:
    """The statement that stores a batch; `refers_to_users` is the result of `audit/refers_to_users`.

    It takes `events`, a JSON array of groups with what the server knows of their sender (see `as_json`). It
    returns the ids in the order given, the number of new rows, and the ids of new LLM requests; if some were
    not stored, also the time of each event for the statement `audit/compare`, and the places (from 1) of
    events whose id belongs to an event of another time.
    """
    users = compose.SQL(sql.get("audit/users/referred_to" if refers_to_users else "audit/users/as_given"))
    return compose.SQL(sql.get("audit/store")).format(known_users=users).as_string(None)


def conflicting(found: Iterable[tuple[Any, ...]], with_other_times: Iterable[int]) -> list[int]:
    """The places of conflicts, from 0: where another event is stored with the id, instead of the same one.

    `found` are the rows of `audit/compare`.
    """
    same = dict(found)
    differing = {place for place, is_same in same.items() if not is_same}
    differing |= {place for place in with_other_times if place not in same}
    return sorted(place - 1 for place in differing)


def as_json(events: list[AuditEvent], origin: Origin) -> str:
    """A batch in the form that the statement takes."""
    return msgspec.json.encode([{"origin": origin, "events": events}]).decode()


def _result(stored: int, events: int, conflicts: list[int]) -> Stored:
    return Stored(stored, events - stored - len(conflicts), tuple(conflicts))


def _only_id(ids: list[UUID], result: Stored) -> UUID:
    if result.conflicts:
        raise ConflictError(ids[0])
    return ids[0]

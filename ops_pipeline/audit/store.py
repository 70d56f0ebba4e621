"""Keeps audit events and finds them again."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, cached_property
from typing import Any, LiteralString, cast
from uuid import UUID

import msgspec
import psycopg
from psycopg import sql as compose

import sql
from ops_pipeline.audit.cursor import Position
from ops_pipeline.audit.event import AuditEvent
from ops_pipeline.audit.filters import Filters, pages
from ops_pipeline.postgres.connection import Connection, Statement, row, scalar

AsyncConnection = psycopg.AsyncConnection[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of a batch: rows that are new, and events that had been stored before."""

    stored: int
    duplicate: int


class AuditLog(msgspec.Struct, frozen=True, kw_only=True):
    """A stored event: a row of `audit_logs`."""

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

    @property
    def position(self) -> Position:
        """Where a list goes on behind this event."""
        return Position(self.created_at, self.id)


class AuditStore:
    """The table `audit_logs` over a connection.

    In a transaction of the connection's this takes part; otherwise the connection is in autocommit mode
    and each method has committed when it returns. `AsyncAuditStore` is its twin.

    Every method raises psycopg.Error: OperationalError when the database is away or a timeout of the
    session's ran out, and then a write is stored as a whole or not at all.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def log(self, event: AuditEvent) -> UUID:
        """Stores one event and answers with its id. An event that was stored before is left alone."""
        ids, _ = self._store([event])
        return ids[0]

    def log_many(self, events: Iterable[AuditEvent]) -> Stored:
        """Stores all of them, or none, in one statement; a few thousand at a time is quickest.

        An event with the id and time of a stored one is a duplicate, and left as it was stored.
        """
        ids, stored = self._store(list(events))
        return Stored(stored, len(ids) - stored)

    def query_logs(self, filters: Filters) -> list[AuditLog]:
        """The events that match, newest first, at most `filters.limit` after `filters.offset`.

        To go on behind the last one: `replace(filters, after=last.position)`. No event that was there at
        the start is skipped or repeated that way, whatever is stored meanwhile. Raises SearchError.
        """
        data = "[]"
        for page in pages(filters, datetime.now(UTC)):
            data, _, _, last_id = row(self.connection, page.statement, page.values)
            if last_id is not None:
                break
        return msgspec.json.decode(data, type=list[AuditLog])

    def _store(self, events: list[AuditEvent]) -> tuple[list[UUID], int]:
        if not events:
            return [], 0
        ids, stored, *_ = row(self.connection, self._storing, {"events": as_json(events)})
        return ids, stored

    @cached_property
    def _storing(self) -> LiteralString:
        return storing(bool(scalar(self.connection, sql.get("audit/refers_to_users"))))


class AsyncAuditStore:
    """`AuditStore` over an asynchronous connection; the same promises, method by method."""

    def __init__(self, connection: AsyncConnection) -> None:
        self.connection = connection
        self._refers_to_users: bool | None = None

    async def log(self, event: AuditEvent) -> UUID:
        """Stores one event and answers with its id. An event that was stored before is left alone."""
        ids, _ = await self._store([event])
        return ids[0]

    async def log_many(self, events: Iterable[AuditEvent]) -> Stored:
        """Stores all of them, or none; an event that was stored before is left as it was stored."""
        ids, stored = await self._store(list(events))
        return Stored(stored, len(ids) - stored)

    async def query_logs(self, filters: Filters) -> list[AuditLog]:
        """The events that match, newest first. Raises SearchError."""
        data = "[]"
        for page in pages(filters, datetime.now(UTC)):
            data, _, _, last_id = await self._row(page.statement, page.values)
            if last_id is not None:
                break
        return msgspec.json.decode(data, type=list[AuditLog])

    async def _store(self, events: list[AuditEvent]) -> tuple[list[UUID], int]:
        if not events:
            return [], 0
        if self._refers_to_users is None:
            (self._refers_to_users,) = await self._row(sql.get("audit/refers_to_users"))
        ids, stored, *_ = await self._row(storing(bool(self._refers_to_users)), {"events": as_json(events)})
        return ids, stored

    async def _row(self, statement: Statement, values: Any = None) -> tuple[Any, ...]:
        cursor = await self.connection.execute(statement, values)
        return cast("tuple[Any, ...]", await cursor.fetchone())


@cache
def storing(refers_to_users: bool) -> LiteralString:
    """The statement that stores a batch, by what `audit/refers_to_users` says of this database.

    It takes `events` (see `as_json`) and answers with the ids in the order given and how many are new.
    """
    users = compose.SQL(sql.get("audit/users/referred_to" if refers_to_users else "audit/users/as_given"))
    return compose.SQL(sql.get("audit/store")).format(known_users=users).as_string(None)


def as_json(events: list[AuditEvent]) -> str:
    """A batch as the statement takes it."""
    return msgspec.json.encode(events).decode()

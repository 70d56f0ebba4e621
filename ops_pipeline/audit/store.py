"""Stores audit events in `audit_logs` and queries them."""

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
    """The result of a batch: new rows, and events that had been stored before."""

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
        """The position after this event, from which a list continues."""
        return Position(self.created_at, self.id)


class AuditStore:
    """Stores and queries events over a connection.

    If the connection is in a transaction, the methods are part of it; otherwise it must be in autocommit
    mode, and each method has committed when it returns. `AsyncAuditStore` is the asynchronous version.
    Every method raises psycopg.Error: OperationalError when the database does not answer or a timeout of the
    session expires; a write is then stored completely or not at all.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def log(self, event: AuditEvent) -> UUID:
        """Stores one event; returns its id. An event that was stored before is not changed."""
        ids, _ = self._store([event])
        return ids[0]

    def log_many(self, events: Iterable[AuditEvent]) -> Stored:
        """Stores all events, or none, in one statement; a few thousand at a time is fastest.

        An event with the id and time of a stored one is a duplicate; the stored one is not changed.
        """
        ids, stored = self._store(list(events))
        return Stored(stored, len(ids) - stored)

    def query_logs(self, filters: Filters) -> list[AuditLog]:
        """The events that match, newest first, at most `filters.limit` after `filters.offset`.

        For the next page: `replace(filters, after=last.position)`. No event that was stored before the first
        page is skipped or repeated, even while others are stored. Raises SearchError.
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
    """`AuditStore` over an asynchronous connection, with the same methods and promises."""

    def __init__(self, connection: AsyncConnection) -> None:
        self.connection = connection
        self._refers_to_users: bool | None = None

    async def log(self, event: AuditEvent) -> UUID:
        """Stores one event; returns its id. An event that was stored before is not changed."""
        ids, _ = await self._store([event])
        return ids[0]

    async def log_many(self, events: Iterable[AuditEvent]) -> Stored:
        """Stores all events, or none; an event that was stored before is not changed."""
        ids, stored = await self._store(list(events))
        return Stored(stored, len(ids) - stored)

    async def query_logs(self, filters: Filters) -> list[AuditLog]:
        """The matching events, newest first. Raises SearchError."""
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
    """The statement that stores a batch; `refers_to_users` is the result of `audit/refers_to_users`.

    It takes `events` (see `as_json`) and returns the ids in the order given and the number of new rows.
    """
    users = compose.SQL(sql.get("audit/users/referred_to" if refers_to_users else "audit/users/as_given"))
    return compose.SQL(sql.get("audit/store")).format(known_users=users).as_string(None)


def as_json(events: list[AuditEvent]) -> str:
    """A batch in the form that the statement takes."""
    return msgspec.json.encode(events).decode()

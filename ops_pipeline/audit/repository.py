"""Keeps audit events and finds them again."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, LiteralString
from uuid import UUID

import msgspec

import sql
from ops_pipeline import database
from ops_pipeline.audit.event import AuditEvent


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of a batch: rows that are new, and events that had been stored before."""

    stored: int
    duplicate: int


@dataclass(frozen=True, slots=True)
class Filters:
    """Which events are asked for: those that match all that is given. Both dates are inclusive."""

    event_type: str | None = None
    user_id: UUID | None = None
    resource_type: str | None = None
    resource_id: UUID | None = None
    action: str | None = None
    status: str | None = None
    start_date: datetime | None = None
    end_date: datetime | None = None
    limit: int = 100
    offset: int = 0

    def values(self) -> dict[str, Any]:
        """The values that `audit/page` takes."""
        return asdict(self)


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


class AuditLogRepository:
    """The table `audit_logs` over a connection, whose transaction (if it has one) this takes part in."""

    def __init__(self, connection: database.Connection) -> None:
        self._connection = connection

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
        """The events that match, newest first, at most `filters.limit` after `filters.offset`."""
        data, _, _ = database.row(self._connection, sql.get("audit/page"), filters.values())
        return msgspec.json.decode(data, type=list[AuditLog])

    def _store(self, events: list[AuditEvent]) -> tuple[list[UUID], int]:
        if not events:
            return [], 0
        ids, stored = database.row(self._connection, self._storing, {"events": as_json(events)})
        return ids, stored

    @cached_property
    def _storing(self) -> LiteralString:
        return storing(bool(database.scalar(self._connection, sql.get("audit/refers_to_users"))))


def storing(refers_to_users: bool) -> LiteralString:
    """The statement that stores a batch, by what `audit/refers_to_users` says of this database.

    It takes `events` (see `as_json`) and answers with the ids in the order given and how many are new.
    """
    return sql.get("audit/store_resolving_users" if refers_to_users else "audit/store")


def as_json(events: list[AuditEvent]) -> str:
    """A batch as the statement takes it."""
    return msgspec.json.encode(events).decode()

"""`audit_logs`: events go in, once each, and are found again."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
from psycopg.rows import dict_row

import sql
from ops_pipeline.audit.event import AuditEvent
from ops_pipeline.database import Connection, row, scalar

MOST_ROWS = 1000


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of a number of events."""

    stored: int
    duplicate: int


@dataclass(frozen=True, slots=True)
class Filters:
    """Which events to find; None: any. `start` and `end` are both included.

    At most `limit` events, and never more than 1000, after the first `offset`.
    """

    event_type: str | None = None
    user_id: UUID | None = None
    resource_type: str | None = None
    resource_id: UUID | None = None
    action: str | None = None
    status: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    limit: int = 100
    offset: int = 0


class AuditLogRepository:
    """The audit log over a connection. On an autocommit connection each call is committed when it returns."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._insert = insert_statement(scalar(connection, sql.get("audit/has_users")))

    def log(self, event: AuditEvent) -> UUID:
        """Stores one event and returns its id. An event that is there already changes nothing."""
        identified = event if event.id is not None else msgspec.structs.replace(event, id=uuid4())
        self.log_many([identified])
        assert identified.id is not None
        return identified.id

    def log_many(self, events: Iterable[AuditEvent]) -> Stored:
        """Stores events in one statement. One with the id and time of an event that is there is a duplicate.

        An event is never refused because its user is unknown: where events refer to users, such an id
        is kept in `details` as `unresolved_user_id`. Raises psycopg.Error, and then none is stored.
        """
        given = list(events)
        if not given:
            return Stored(0, 0)
        (stored,) = row(self._connection, self._insert, {"events": encode(given)})
        return Stored(stored, len(given) - stored)

    def query_logs(self, filters: Filters) -> list[dict[str, Any]]:
        """The events that fit, newest first, by column names."""
        with self._connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(sql.get("audit/find"), parameters(filters)).fetchall()


def insert_statement(has_users: bool) -> Any:
    """The statement that stores events, for a table that refers to users or one that does not."""
    return sql.get("audit/insert_with_users" if has_users else "audit/insert")


def encode(events: list[AuditEvent]) -> str:
    """Events as the JSON array that the insert statements take, with the columns' names."""
    return msgspec.json.encode([msgspec.structs.asdict(event) for event in events]).decode()


def parameters(filters: Filters) -> dict[str, Any]:
    """Filters as the find statements take them."""
    return {
        "event_type": filters.event_type,
        "user_id": filters.user_id,
        "resource_type": filters.resource_type,
        "resource_id": filters.resource_id,
        "action": filters.action,
        "status": filters.status,
        "start": filters.start,
        "end": filters.end,
        "limit": min(filters.limit, MOST_ROWS),
        "offset": filters.offset,
    }

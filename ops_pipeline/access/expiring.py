"""Finds keys that expire soon, and those that have expired while they were in use."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sql
from ops_pipeline.access import keys
from ops_pipeline.postgres.connection import Connection

NOTICE = timedelta(days=30)
"""How long before its expiry a key is reported; one that lives for less than three times as long, in the last
third of its life. How long after its expiry, if it was in use."""
LATELY = timedelta(days=7)
"""A key that was used in the last days before its expiry was in use."""
VALUES = {"notice": NOTICE, "lately": LATELY}
"""The values of `access/expiring.sql`."""


@dataclass(frozen=True, slots=True)
class ExpiringKey:
    """A key that expires soon or has `expired`. `replaced`: a newer key has its name, and clients still use
    this one."""

    id: UUID
    name: str
    scopes: Sequence[str]
    databases: Sequence[str] | None
    expires_at: datetime
    last_used_at: datetime | None
    expired: bool
    replaced: bool

    @property
    def in_words(self) -> str:
        """What is the matter with it."""
        at = f"{self.expires_at:%Y-%m-%d %H:%M} UTC"
        used = f"last used {self.last_used_at:%Y-%m-%d %H:%M} UTC" if self.last_used_at else "never used"
        if self.expired:
            return f"key {self.name} expired at {at} while it was in use ({used}); its clients are refused"
        return f"key {self.name} expires at {at} ({used}); its clients are refused from then on"

    @property
    def remedy(self) -> str:
        """What to do."""
        if self.replaced:
            return "Give the newer key of that name to the clients that still use this one"
        if self.expired:
            return keys.creation(self.name, self.scopes, self.databases)
        return f"opsctl keys rotate {self.id}"


def find(connection: Connection) -> Sequence[ExpiringKey]:
    """These keys, the next one to expire first. Raises psycopg.Error."""
    return read(connection.execute(sql.get("access/expiring"), VALUES))


def read(rows: Iterable[Sequence[Any]]) -> Sequence[ExpiringKey]:
    """The keys of the rows of `access/expiring.sql`."""
    return [ExpiringKey(*columns) for columns in rows]

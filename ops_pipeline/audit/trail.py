"""Maintenance accounts for itself: what it removes, archives, restores or approves is an audit event."""

from collections.abc import Mapping
from typing import Any, Literal

from ops_pipeline.audit.event import AuditEvent
from ops_pipeline.audit.store import AuditStore
from ops_pipeline.postgres.connection import Connection

EVENT_TYPE = "maintenance"
SYSTEM = "system"
"""Who acts where no person asked for it."""


def record(
    connection: Connection,
    action: str,
    details: Mapping[str, Any],
    *,
    by: str = SYSTEM,
    status: Literal["success", "failure"] = "success",
) -> None:
    """Stores an audit event in whatever transaction the connection is in, so that both are there or neither.

    `action` is `<noun>.<what happened>`, such as `rows.removed`, `hold.added`, `plan.approved`; `by` is the
    person, or `system`. Raises psycopg.Error.
    """
    AuditStore(connection).log(
        AuditEvent(event_type=EVENT_TYPE, action=action, details=dict(details), status=status, created_by=by)
    )

"""Records maintenance in the audit log: what it deletes, archives, restores or approves."""

import logging
from collections.abc import Mapping
from typing import Any, Literal

import sql
from ops_pipeline.audit.event import MAINTENANCE_TYPE, AuditEvent
from ops_pipeline.audit.store import AuditStore
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.postgres.relation import audit_logs

log = logging.getLogger(__name__)

EVENT_TYPE = MAINTENANCE_TYPE
SYSTEM = "system"
"""The actor when no person started the action."""


def record(
    connection: Connection,
    action: str,
    details: Mapping[str, Any],
    *,
    by: str = SYSTEM,
    status: Literal["success", "failure"] = "success",
) -> None:
    """Stores an audit event in the connection's current transaction, so that both are committed or neither.

    `action` is `<noun>.<what happened>`, such as `rows.removed`, `hold.added`, `plan.approved`; `by` is the
    person as given, or `system`; the database login is in the details, as `login`. For a missing audit log,
    see `store`. Raises psycopg.Error.
    """
    named = {**details, "login": connection.info.user}
    store(
        connection,
        AuditEvent(event_type=EVENT_TYPE, action=action, details=named, status=status, created_by=by),
    )


def store(connection: Connection, event: AuditEvent) -> None:
    """Stores the event, or logs a warning that it was not recorded because the audit log is missing.

    The action itself is carried out in any case: holds and disk space cannot wait until the table is
    restored."""
    if is_there(connection):
        AuditStore(connection, "maintenance").log(event)
    else:
        say_unrecorded(connection, event.action or event.event_type)


def is_there(connection: Connection) -> bool:
    """Whether the database has the audit log's table, with our columns."""
    return bool(scalar(connection, sql.get("audit/has_audit_log")))


def say_unrecorded(connection: Connection, action: str) -> None:
    """Logs a warning that an event was not recorded."""
    log.warning("%s was %s", action, not_recorded(connection))


def not_recorded(connection: Connection) -> str:
    """The message for an event when the audit log is missing."""
    return (
        f"not recorded in an audit log: table {audit_logs().qualified} is missing in database "
        f"{connection.info.dbname!r}. To see what to do: opsctl doctor"
    )

"""Maintenance accounts for itself: what it removes, archives, restores or approves is an audit event."""

import logging
from collections.abc import Mapping
from typing import Any, Literal

import sql
from ops_pipeline.audit.event import AuditEvent
from ops_pipeline.audit.store import AuditStore
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.postgres.relation import audit_logs

log = logging.getLogger(__name__)

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
    person, or `system`, as it was said; the database's login is in the details, as `login`. Where the audit
    log is missing, see `store`. Raises psycopg.Error.
    """
    named = {**details, "login": connection.info.user}
    store(
        connection,
        AuditEvent(event_type=EVENT_TYPE, action=action, details=named, status=status, created_by=by),
    )


def store(connection: Connection, event: AuditEvent) -> None:
    """Stores the event, or says in a warning that it was not recorded where the audit log is missing.

    What the event is about is done all the same: rows on hold, and the disk, cannot wait for a lost table.
    """
    if is_there(connection):
        AuditStore(connection).log(event)
    else:
        say_unrecorded(connection, event.action or event.event_type)


def is_there(connection: Connection) -> bool:
    """Whether the database has the table of the audit log, with our columns."""
    return bool(scalar(connection, sql.get("audit/has_audit_log")))


def say_unrecorded(connection: Connection, action: str) -> None:
    """Warns on standard error, or where the process has its log, that an event was not recorded."""
    log.warning("%s was %s", action, not_recorded(connection))


def not_recorded(connection: Connection) -> str:
    """What became of an event where the audit log is missing."""
    return (
        f"not recorded in an audit log: database {connection.info.dbname!r} has no table "
        f"{audit_logs().qualified} of ours; opsctl doctor says what to do"
    )

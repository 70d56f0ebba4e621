"""The audit log for Python applications: store events, find them again, delete old ones."""

import asyncio
from datetime import timedelta
from pathlib import Path

from psycopg.pq import TransactionStatus

from ops_pipeline.audit.store import AsyncAuditStore, AsyncConnection, AuditStore
from ops_pipeline.maintenance import kinds
from ops_pipeline.maintenance.retention.policy import KIND, PREMAKE, Retention
from ops_pipeline.pauses import pauses
from ops_pipeline.policies.file import Place, PolicyFile
from ops_pipeline.policies.identity import Identity
from ops_pipeline.policies.model import GuardLimits, ThrottleLimits
from ops_pipeline.postgres.connection import Connection, connect, url_of
from ops_pipeline.postgres.relation import audit_logs


class NotDoneError(Exception):
    """The cleanup did not start; no event was deleted."""


UNTHROTTLED = ThrottleLimits(replica_lag=None, lock_queue=None, active_sessions=None, wal_rate=None)


class AuditLogRepository(AuditStore):
    """Stores, reads and deletes audit events in `audit_logs` over one connection.

    `AsyncAuditLogRepository` is the asynchronous version."""

    def cleanup_old_logs(self, retention_days: int = 90) -> int:
        """Deletes the events older than `retention_days` days; returns the number of deleted events.

        Works like the nightly retention, on a connection of its own: batches are committed one by one, rows
        on hold are kept, and the run is recorded in `ops.maintenance_runs`. It does not archive and has no
        guard: it deletes every expired event. To archive first and to limit the number of deleted rows, use
        a retention policy in `policies.yaml`. Rows locked by other sessions are kept until the next call.

        Raises ValueError when `retention_days` is not between 1 and 36500 or the connection is in a
        transaction; RefusedError when the table cannot be cleaned up; NotDoneError when nothing was tried,
        because another call is running or the clocks disagree; psycopg.Error.
        """
        policy = _policy(retention_days)
        _refuse_transaction(self.connection)
        return _clean_up(url_of(self.connection), policy)


class AsyncAuditLogRepository(AsyncAuditStore):
    """`AuditLogRepository` over an asynchronous connection, with the same methods and promises."""

    async def cleanup_old_logs(self, retention_days: int = 90) -> int:
        """Deletes the events older than `retention_days` days, in a thread.

        See `AuditLogRepository.cleanup_old_logs`."""
        policy = _policy(retention_days)
        _refuse_transaction(self.connection)
        return await asyncio.to_thread(_clean_up, url_of(self.connection), policy)


def _policy(retention_days: int) -> Retention:
    if not 1 <= retention_days <= 36_500:
        raise ValueError(f"retention_days is {retention_days}; it must be between 1 and 36500")
    return Retention(
        # The number of days is part of the identity: the guard must not compare runs with different cutoffs.
        identity=Identity("audit_log", KIND, audit_logs(), name=f"{retention_days}_days"),
        table=audit_logs(),
        column="created_at",
        keep=timedelta(days=retention_days),
        partition=None,
        premake=PREMAKE,
        archive=False,
        guard=GuardLimits(max_fraction=1.0),
        throttle=UNTHROTTLED,
        place=Place(PolicyFile(Path("cleanup_old_logs"), {})),
    )


def _clean_up(url: str, policy: Retention) -> int:
    with connect(url, "ops cleanup_old_logs") as connection:
        result = kinds.carry_out(connection, policy)
        # Its database has no name of policies.yaml that the command in the message could be given.
        pause = pauses.active(connection) if result.outcome == "paused" else None
    if result.outcome not in {"done", "stopped"} and result.removed == 0:
        raise NotDoneError(f"No event was deleted: {pause.in_words() if pause else result.stopped_reason}")
    return result.removed


def _refuse_transaction(connection: Connection | AsyncConnection) -> None:
    if not connection.autocommit or connection.info.transaction_status != TransactionStatus.IDLE:
        raise ValueError(
            "The connection must be in autocommit mode and outside a transaction: "
            "batches are committed one by one"
        )

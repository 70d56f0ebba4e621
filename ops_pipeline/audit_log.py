"""The audit log for Python applications: store events, find them again, delete old ones."""

import asyncio
from datetime import timedelta
from pathlib import Path

from psycopg.pq import TransactionStatus

from ops_pipeline.audit.store import AsyncAuditStore, AsyncConnection, AuditStore
from ops_pipeline.maintenance import kinds
from ops_pipeline.maintenance.retention.policy import KIND, PREMAKE, Retention
from ops_pipeline.policies.file import Place, PolicyFile
from ops_pipeline.policies.identity import Identity
from ops_pipeline.policies.model import GuardLimits, ThrottleLimits
from ops_pipeline.postgres.connection import Connection, connect, url_of
from ops_pipeline.postgres.relation import audit_logs


class NotDoneError(Exception):
    """A clean-up was not tried; no event was deleted."""


UNTHROTTLED = ThrottleLimits(replica_lag=None, lock_queue=None, active_sessions=None, wal_rate=None)


class AuditLogRepository(AuditStore):
    """The table `audit_logs` over a connection. `AsyncAuditLogRepository` is its twin."""

    def cleanup_old_logs(self, retention_days: int = 90) -> int:
        """Deletes the events that are older than so many days; answers with how many that were.

        As the nightly retention does, on a connection of its own: in batches that are committed one by one,
        without rows on hold, recorded in `ops.maintenance_runs`. It does not archive, and deletes however
        many rows that are; a policy in `policies.yaml` archives and asks first. Rows that others have
        locked are left for the next call.

        Raises ValueError for less than one day, or when the connection is in a transaction; RefusedError when
        the table cannot be cleaned up as it is; NotDoneError when nothing was tried, because another
        call is at work or the clocks disagree; psycopg.Error.
        """
        policy = _policy(retention_days)
        _refuse_transaction(self.connection)
        return _clean_up(url_of(self.connection), policy)


class AsyncAuditLogRepository(AsyncAuditStore):
    """`AuditLogRepository` over an asynchronous connection; the same promises, method by method."""

    async def cleanup_old_logs(self, retention_days: int = 90) -> int:
        """Deletes the events that are older than so many days, in a thread; see its twin."""
        policy = _policy(retention_days)
        _refuse_transaction(self.connection)
        return await asyncio.to_thread(_clean_up, url_of(self.connection), policy)


def _policy(retention_days: int) -> Retention:
    if not 1 <= retention_days <= 36_500:
        raise ValueError(f"retention_days is {retention_days}; it has to be between 1 and 36500")
    return Retention(
        # With another number of days it is another policy: the guard has nothing to compare it with.
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
    if result.outcome not in {"done", "stopped"}:
        raise NotDoneError(f"No event was deleted: {result.stopped_reason}")
    return result.removed


def _refuse_transaction(connection: Connection | AsyncConnection) -> None:
    if not connection.autocommit or connection.info.transaction_status != TransactionStatus.IDLE:
        raise ValueError("Batches are committed one by one: this needs an autocommit connection")

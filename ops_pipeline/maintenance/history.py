"""The history in `ops.maintenance_runs`: records every run of every policy, and reads it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, LiteralString

from psycopg.rows import kwargs_row
from psycopg.types.json import Jsonb

import sql
from ops_pipeline.audit import trail
from ops_pipeline.maintenance.guard import approvals
from ops_pipeline.maintenance.result import Outcome, RunResult, Work
from ops_pipeline.postgres.connection import Connection, row, scalar
from ops_pipeline.postgres.relation import TableName

Throttled = Mapping[str, Mapping[str, float]]
UNTHROTTLED: Throttled = {}
NO_DETAILS: Mapping[str, object] = {}
UNRECORDED = "unrecorded"
"""The key of a run's details that says, in words, that the audit log did not exist when the run ended."""
Statement = tuple[LiteralString, Mapping[str, Any]]
"""A statement and its values."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What one transaction did. `wal`: the server's WAL position when it began."""

    scanned: int
    removed: int
    archived: int = 0
    bytes: int = 0
    wal: str | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """A run that has begun."""

    id: int
    policy: str

    def batch_statement(self, batch: Batch) -> Statement:
        """The statement that adds a batch to the run; execute it in the batch's own transaction."""
        return sql.get("maintenance/progress"), {"id": self.id, **asdict(batch)}

    def add(self, connection: Connection, scanned: int, removed: int) -> None:
        """Adds a batch, in the connection's current transaction."""
        connection.execute(*self.batch_statement(Batch(scanned, removed)))

    def save_plan(
        self,
        connection: Connection,
        *,
        cutoff: datetime | None,
        planned: int,
        method: str,
        details: Mapping[str, Any],
    ) -> None:
        """Saves what the run is about to do."""
        values = {
            "id": self.id,
            "cutoff": cutoff,
            "planned": planned,
            "method": method,
            "details": Jsonb(dict(details)),
        }
        connection.execute(sql.get("maintenance/save_plan"), values)

    def save_throttle_ended(self, connection: Connection, throttled: Throttled) -> None:
        """Saves that the run continues, and how often and how long it was throttled so far, by reason."""
        values = {"id": self.id, "throttled": Jsonb(dict(throttled))}
        connection.execute(sql.get("maintenance/save_throttle_ended"), values)

    def save_throttled(self, connection: Connection, reason: str, seconds: float) -> None:
        """Saves that the run has been throttled for these seconds, and why, until `save_throttle_ended`."""
        values = {"id": self.id, "reason": reason, "seconds": seconds}
        connection.execute(sql.get("maintenance/save_throttled"), values)

    def finish(self, connection: Connection, work: Work, throttled: Throttled) -> RunResult:
        """Records that the run ended by itself, and what it removed, also in the audit log.

        A complete run uses up its approval.
        """
        details = {
            "oldest": work.oldest.isoformat() if work.oldest else None,
            "dead_tuples_before": work.dead_tuples_before,
            "dead_tuples_after": work.dead_tuples_after,
            **({"plan": work.plan} if work.plan else {}),
            **({"approved_plan": work.approval} if work.approval else {}),
            **work.details,
        }
        with connection.transaction():
            if work.approval is not None and work.outcome == "done":
                approvals.use_up(connection, work.approval, self.id)
            return self._close(
                connection, work.outcome, work.stopped_reason, throttled, work.remaining, details
            )

    def end_early(
        self, connection: Connection, outcome: Outcome, reason: str, throttled: Throttled = UNTHROTTLED
    ) -> None:
        """Records that the run failed or was interrupted. Without a connection the policy's next run does."""
        if connection.closed or connection.broken:
            return
        with connection.transaction():
            self._close(connection, outcome, reason, throttled)

    def _close(
        self,
        connection: Connection,
        outcome: Outcome,
        reason: str,
        throttled: Throttled,
        remaining: int | None = None,
        details: Mapping[str, object] = NO_DETAILS,
    ) -> RunResult:
        if not trail.is_there(connection):
            details = {**details, UNRECORDED: f"this run is {trail.not_recorded(connection)}"}
        values = {
            "id": self.id,
            "outcome": outcome,
            "stopped_reason": reason,
            "remaining": remaining,
            "throttled": Jsonb(dict(throttled)),
            "details": Jsonb(dict(details)),
        }
        connection.execute(sql.get("maintenance/finish"), values)
        return account_for(connection, self.id)


def begin(
    connection: Connection, policy: str, dagster_run_id: str | None, table: TableName | None = None
) -> Record:
    """Records that a policy's run begins. The caller holds the policy's lock. `table`: what it deletes from.

    An earlier run of the policy that died without recording its end is closed, and what it had removed is
    recorded in the audit log.
    """
    values = {
        "policy": policy,
        "dagster_run_id": dagster_run_id,
        "schema": table.schema if table else None,
        "table": table.name if table else None,
    }
    with connection.transaction():
        record_id, died = row(connection, sql.get("maintenance/begin"), values)
        for dead_id in died:
            account_for(connection, int(dead_id))
    return Record(record_id, policy)


def interrupt_dead(connection: Connection) -> list[str]:
    """Marks runs whose worker has died as interrupted, and returns the names of their policies.

    A run is alive while its session holds the policy's advisory lock. Nothing it committed is undone: the
    policy's next run continues after its last batch. What it had removed is recorded in the audit log.
    """
    with connection.transaction():
        dead = connection.execute(sql.get("maintenance/interrupt_dead")).fetchall()
        for run_id, _ in dead:
            account_for(connection, run_id)
    return [policy for _, policy in dead]


def skip(connection: Connection, policy: str, reason: str, dagster_run_id: str | None) -> RunResult:
    """Records that a policy's run did not begin, and why."""
    values = {"policy": policy, "stopped_reason": reason, "dagster_run_id": dagster_run_id}
    return _result(connection, scalar(connection, sql.get("maintenance/skip"), values))


def fail(
    connection: Connection, policy: str, reason: str, dagster_run_id: str, at: datetime | None = None
) -> None:
    """Records that a policy failed in that Dagster run although its own work did not fail: one of its checks
    did, or the work never began, `at` that time (None: now). A failure recorded before is kept."""
    values = {"policy": policy, "reason": reason, "dagster_run_id": dagster_run_id, "at": at}
    connection.execute(sql.get("maintenance/fail"), values)


def results(
    connection: Connection,
    *,
    run_id: int | None = None,
    dagster_run_id: str | None = None,
    since: datetime | None = None,
) -> list[RunResult]:
    """What each policy did, or has done so far, in that run, that Dagster run, or since that time."""
    values = {"id": run_id, "dagster_run_id": dagster_run_id, "moment": since}
    with connection.cursor(row_factory=kwargs_row(RunResult)) as cursor:
        return cursor.execute(sql.get("maintenance/results"), values).fetchall()


def last(connection: Connection, policy: str) -> RunResult | None:
    """The policy's last run, not counting runs that were skipped because another was running."""
    last_run = connection.execute(sql.get("maintenance/last"), {"policy": policy}).fetchone()
    return _result(connection, last_run[0]) if last_run else None


def seconds_for(connection: Connection, policy: str, rows: int) -> float | None:
    """Seconds for that many rows at the rate of the policy's last run that removed enough, or None."""
    rate = connection.execute(sql.get("maintenance/rate"), {"policy": policy, "rows": rows}).fetchone()
    return rows / float(rate[0]) if rate else None


def account_for(connection: Connection, run_id: int) -> RunResult:
    """Records what a run removed, if anything, as an audit event, in the connection's transaction."""
    result = _result(connection, run_id)
    if result.removed == 0:
        return result
    details = {
        "policy": result.policy,
        "run": result.run_id,
        "outcome": result.outcome,
        "rows_removed": result.removed,
        "rows_archived": result.archived,
        **({"rows_cascaded": list(result.cascaded)} if result.cascaded else {}),
        "method": result.method,
        **{key: result.details[key] for key in ("cutoff", "approved_plan") if key in result.details},
    }
    action = "rows.archived_and_removed" if result.archived else "rows.removed"
    trail.record(connection, action, details)
    return result


def _result(connection: Connection, run_id: int) -> RunResult:
    (result,) = results(connection, run_id=run_id)
    return result

"""`ops.maintenance_runs`: every run of every policy, for as long as anybody may ask."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

from psycopg.rows import kwargs_row
from psycopg.types.json import Jsonb

import sql
from ops_pipeline.audit import trail
from ops_pipeline.maintenance.guard import approvals
from ops_pipeline.maintenance.result import Outcome, Result, Work
from ops_pipeline.postgres.connection import Connection, row

Pauses = Mapping[str, Mapping[str, float]]
NO_PAUSES: Pauses = {}
Note = tuple[LiteralString, Mapping[str, Any]]
"""A statement and its values."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What one transaction did. `wal`: where the server's WAL stood when it began."""

    examined: int
    removed: int
    archived: int = 0
    bytes: int = 0
    wal: str | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """A run that has begun."""

    id: int
    policy: str

    def note(self, batch: Batch) -> Note:
        """The statement that adds a batch to the run; it belongs into the batch's own transaction."""
        values = {
            "id": self.id,
            "examined": batch.examined,
            "removed": batch.removed,
            "archived": batch.archived,
            "bytes": batch.bytes,
            "wal": batch.wal,
        }
        return sql.get("maintenance/progress"), values

    def add(self, connection: Connection, examined: int, removed: int) -> None:
        """Adds a batch, in whatever transaction the connection is in."""
        connection.execute(*self.note(Batch(examined, removed)))

    def note_plan(
        self,
        connection: Connection,
        *,
        cutoff: datetime | None,
        planned: int,
        method: str,
        details: Mapping[str, Any],
    ) -> None:
        """Keeps what the run is about to do."""
        values = {
            "id": self.id,
            "cutoff": cutoff,
            "planned": planned,
            "method": method,
            "details": Jsonb(dict(details)),
        }
        connection.execute(sql.get("maintenance/note_plan"), values)

    def note_pauses(self, connection: Connection, pauses: Pauses) -> None:
        """Keeps how often and how long the run has paused so far."""
        values = {"id": self.id, "pauses": Jsonb(dict(pauses))}
        connection.execute(sql.get("maintenance/note_pauses"), values)

    def finish(self, connection: Connection, work: Work, pauses: Pauses) -> Result:
        """The run ended by itself. What it removed is accounted for in the audit log as well.

        A complete run uses up the approval that let it through.
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
            self._close(connection, work.outcome, work.stopped_reason, work.left, details, pauses)
            if work.approval is not None and work.outcome == "done":
                approvals.use_up(connection, work.approval, self.id)
            result = self._result(connection)
            account_for(connection, result)
        return result

    def broke_off(
        self, connection: Connection, outcome: Outcome, reason: str, pauses: Pauses = NO_PAUSES
    ) -> None:
        """The run was ended from outside. Without a connection the next run of the policy notes it."""
        if connection.closed or connection.broken:
            return
        with connection.transaction():
            self._close(connection, outcome, reason, None, {}, pauses)
            account_for(connection, self._result(connection))

    def _close(
        self,
        connection: Connection,
        outcome: Outcome,
        reason: str,
        left: int | None,
        details: Mapping[str, object],
        pauses: Pauses,
    ) -> None:
        values = {
            "id": self.id,
            "outcome": outcome,
            "stopped_reason": reason,
            "left": left,
            "pauses": Jsonb(dict(pauses)),
            "details": Jsonb(dict(details)),
        }
        connection.execute(sql.get("maintenance/finish"), values)

    def _result(self, connection: Connection) -> Result:
        (result,) = results(connection, run_id=self.id)
        return result


def begin(connection: Connection, policy: str, dagster_run_id: str | None) -> Record:
    """Notes that a policy's run begins. The caller holds the policy's lock.

    A run before it that died without a word is closed, and what it had removed accounted for.
    """
    values = {"policy": policy, "dagster_run_id": dagster_run_id}
    with connection.transaction():
        record_id, died = row(connection, sql.get("maintenance/begin"), values)
        for dead_id in died:
            (result,) = results(connection, run_id=int(dead_id))
            account_for(connection, result)
    return Record(record_id, policy)


def skip(connection: Connection, policy: str, reason: str, dagster_run_id: str | None) -> Result:
    """Notes that a policy's run did not begin, and why."""
    values = {"policy": policy, "stopped_reason": reason, "dagster_run_id": dagster_run_id}
    (run_id,) = row(connection, sql.get("maintenance/skip"), values)
    (result,) = results(connection, run_id=run_id)
    return result


def results(
    connection: Connection,
    *,
    run_id: int | None = None,
    dagster_run_id: str | None = None,
    since: datetime | None = None,
) -> list[Result]:
    """What each policy did, or has done so far, in that run, that Dagster run, or since that moment."""
    values = {"id": run_id, "dagster_run_id": dagster_run_id, "moment": since}
    with connection.cursor(row_factory=kwargs_row(Result)) as cursor:
        return cursor.execute(sql.get("maintenance/results"), values).fetchall()


def last(connection: Connection, policy: str) -> Result | None:
    """The policy's last run, those left out that found another one at work."""
    found = connection.execute(sql.get("maintenance/last"), {"policy": policy}).fetchone()
    return None if found is None else results(connection, run_id=found[0])[0]


def seconds_for(connection: Connection, policy: str, rows: int) -> float | None:
    """How long so many rows take at the rate of the policy's last run; None when there was none."""
    found = connection.execute(sql.get("maintenance/rate"), {"policy": policy}).fetchone()
    return rows / float(found[0]) if found is not None else None


def account_for(connection: Connection, result: Result) -> None:
    """Stores what a run removed as an audit event, in whatever transaction the connection is in."""
    if result.removed == 0:
        return
    details = {
        "policy": result.policy,
        "run": result.run_id,
        "outcome": result.outcome,
        "rows_removed": result.removed,
        "rows_archived": result.archived,
        "method": result.method,
        **{key: result.details[key] for key in ("cutoff", "approved_plan") if key in result.details},
    }
    action = "rows.archived_and_removed" if result.archived else "rows.removed"
    trail.record(connection, action, details)

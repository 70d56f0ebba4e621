"""`ops.maintenance_runs`: every run of every policy, for as long as anybody may ask."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

import sql
from ops_pipeline.database import Connection, row
from ops_pipeline.maintenance.result import Outcome, Result, Work


@dataclass(frozen=True, slots=True)
class Record:
    """A run that has begun."""

    id: int
    policy: str

    def add(self, connection: Connection, examined: int, removed: int) -> None:
        """Adds a batch, in whatever transaction the batch is in."""
        values = {"id": self.id, "examined": examined, "removed": removed}
        connection.execute(sql.get("history/progress"), values)

    def note_cutoff(self, connection: Connection, cutoff: datetime) -> None:
        """Keeps the moment before which rows are too old in this run."""
        connection.execute(sql.get("history/note_cutoff"), {"id": self.id, "cutoff": cutoff})

    def finish(self, connection: Connection, work: Work) -> Result:
        """The run ended by itself."""
        details = {
            "oldest": work.oldest.isoformat() if work.oldest else None,
            "dead_tuples_before": work.dead_tuples_before,
            "dead_tuples_after": work.dead_tuples_after,
        }
        examined, removed, seconds = self._close(
            connection, work.outcome, work.stopped_reason, work.left, details
        )
        return Result(
            policy=self.policy,
            outcome=work.outcome,
            stopped_reason=work.stopped_reason,
            examined=examined,
            removed=removed,
            left=work.left,
            seconds=seconds,
            oldest=work.oldest,
            dead_tuples_before=work.dead_tuples_before,
            dead_tuples_after=work.dead_tuples_after,
        )

    def broke_off(self, connection: Connection, outcome: Outcome, reason: str) -> None:
        """The run was ended from outside. Without a connection the next run of the policy notes it."""
        if not (connection.closed or connection.broken):
            self._close(connection, outcome, reason, None, {})

    def _close(
        self,
        connection: Connection,
        outcome: Outcome,
        reason: str,
        left: int | None,
        details: Mapping[str, object],
    ) -> tuple[Any, ...]:
        values = {
            "id": self.id,
            "outcome": outcome,
            "stopped_reason": reason,
            "left": left,
            "details": Jsonb(dict(details)),
        }
        return row(connection, sql.get("history/finish"), values)


def begin(connection: Connection, policy: str, dagster_run_id: str | None) -> Record:
    """Notes that a policy's run begins. The caller holds the policy's lock."""
    values = {"policy": policy, "dagster_run_id": dagster_run_id}
    (record_id,) = row(connection, sql.get("history/begin"), values)
    return Record(record_id, policy)


def skip(connection: Connection, policy: str, reason: str, dagster_run_id: str | None) -> Result:
    """Notes that a policy's run did not begin, and why."""
    values = {"policy": policy, "stopped_reason": reason, "dagster_run_id": dagster_run_id}
    connection.execute(sql.get("history/skip"), values)
    return Result(policy, "skipped", reason, examined=0, removed=0, left=None, seconds=0.0)


def results(
    connection: Connection, *, dagster_run_id: str | None = None, since: datetime | None = None
) -> list[Result]:
    """What each policy did, or has done so far, in that Dagster run, or since that moment."""
    values = {"dagster_run_id": dagster_run_id, "moment": since}
    return [Result(*each) for each in connection.execute(sql.get("history/results"), values)]

"""Reads the newest runs of policies from `ops.maintenance_runs`."""

from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import kwargs_row

import sql
from ops_pipeline.maintenance.result import Outcome
from ops_pipeline.postgres.connection import Connection


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """A run of a policy, as recorded. `seconds`: so far, if it is running. `remaining`: None where the rows
    were not counted."""

    id: int
    policy: str
    outcome: Outcome
    stopped_reason: str
    started_at: datetime
    finished_at: datetime | None
    seconds: float
    removed: int
    archived: int
    remaining: int | None
    dagster_run_id: str | None


def newest_runs(connection: Connection, *, policy: str | None = None, limit: int) -> list[RecordedRun]:
    """The newest runs, newest first; of one policy, if given. Raises psycopg.Error."""
    with connection.cursor(row_factory=kwargs_row(RecordedRun)) as cursor:
        values = {"policy": policy, "limit": limit}
        return cursor.execute(sql.get("maintenance/newest_runs"), values).fetchall()

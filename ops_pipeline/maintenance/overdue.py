"""Says whether a policy's scheduled run is missing, or rows remain."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim
from psycopg.rows import kwargs_row

import sql
from ops_pipeline.counted import counted
from ops_pipeline.policies.model import Schedule
from ops_pipeline.postgres.connection import Connection

LATE_AFTER = timedelta(hours=2)
"""How long after its scheduled time a nightly run may still be running before it counts as missed."""

UNFINISHED = frozenset({"failed", "interrupted", "stopped"})
"""Outcomes after which a person has to look, even if an earlier run since the same scheduled time was
complete."""


@dataclass(frozen=True, slots=True)
class LastRuns:
    """A policy's last complete run, and its newest one, which may be running; None without one.

    `remaining`: the rows that its last ended run left. `dagster_run_id`: of the newest run.
    `throttle_reason`, `throttled_since`: why the newest run is throttled now; None when it is not.
    """

    policy: str
    done_at: datetime | None
    done_remaining: int | None
    ended_outcome: str | None
    ended_reason: str | None
    outcome: str | None
    started_at: datetime | None
    finished_at: datetime | None
    removed: int | None
    remaining: int | None
    dagster_run_id: str | None = None
    throttle_reason: str | None = None
    throttled_since: datetime | None = None


def last_runs(connection: Connection, policies: Sequence[str]) -> list[LastRuns]:
    """The last runs of each of these policies. Raises psycopg.Error."""
    with connection.cursor(row_factory=kwargs_row(LastRuns)) as cursor:
        return cursor.execute(sql.get("maintenance/last_runs"), {"policies": list(policies)}).fetchall()


def problem(runs: LastRuns, due: datetime) -> str | None:
    """What is wrong with a policy: it has had no complete run since `due`, its newest run failed or ended
    early, or rows remain.

    Only complete runs count, not ones that need approval, were skipped or paused, or have an outcome that
    this version does not know.
    """
    newest = (
        f"; its newest run ended as {runs.ended_outcome} ({runs.ended_reason})"
        if runs.ended_outcome not in {None, "done", "observed"}
        else ""
    )
    if runs.done_at is None:
        return f"{runs.policy} has never had a complete run{newest}"
    if runs.done_at < due:
        return (
            f"{runs.policy} had its last complete run at {runs.done_at:%Y-%m-%d %H:%M} UTC; the run "
            f"scheduled for {due.astimezone(UTC):%Y-%m-%d %H:%M} UTC is not complete{newest}"
        )
    if runs.ended_outcome in UNFINISHED:
        rows = f"; {_remain(runs.remaining)}" if runs.remaining else ""
        return f"{runs.policy}: its newest run ended as {runs.ended_outcome} ({runs.ended_reason}){rows}"
    remaining = runs.done_remaining
    return f"{runs.policy}: {_remain(remaining)}" if remaining else None


def _remain(rows: int) -> str:
    return counted(rows, "row remains", "rows remain")


def last_scheduled(schedule: Schedule, now: datetime) -> datetime:
    """The start of the last scheduled run that should have ended by now."""
    return next(
        CronSim(schedule.cron, now.astimezone(ZoneInfo(schedule.timezone)) - LATE_AFTER, reverse=True)
    )


def next_scheduled(schedule: Schedule, now: datetime) -> datetime:
    """The start of the next scheduled run."""
    return next(CronSim(schedule.cron, now.astimezone(ZoneInfo(schedule.timezone))))

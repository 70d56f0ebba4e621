"""When the next nightly run starts by itself, by Dagster's own database; or why none does."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg

import sql
from ops_pipeline.diagnosis import daemon, dagster_database, schedules
from ops_pipeline.diagnosis.daemon import Heartbeat
from ops_pipeline.maintenance import overdue
from ops_pipeline.policies.model import Database
from ops_pipeline.postgres.connection import Connection, DatabaseUnavailableError, connect_bare, scalar

STARTERS = ("SCHEDULER", "QUEUED_RUN_COORDINATOR")
"""The daemons without which no scheduled run starts."""


@dataclass(frozen=True, slots=True)
class NextRun:
    """When a database's next nightly run starts by itself; `at` is None if none does, or if that is unknown.

    `problem`: what keeps it, or kept the last one, from starting; None if no action is required. `remedy`:
    the command that ends the problem. `note`: what else a person wants to know.
    """

    at: datetime | None
    problem: str | None = None
    remedy: str | None = None
    note: str | None = None


NEVER = NextRun(None, "none: no Dagster daemon has run yet. To start it", daemon.START)
BY_COMMAND = NextRun(None, note="none by itself: no daemon; runs are started by `opsctl run`")
"""Instead of NEVER, where runs are recorded."""


def next_runs(dagster_url: str, databases: Sequence[Database], now: datetime) -> dict[str, NextRun]:
    """The next run of each database, by its name. A Dagster database that cannot be read is a problem of
    each."""
    try:
        with connect_bare(dagster_url) as connection:
            return dict(_next_runs(connection, databases, now))
    except (DatabaseUnavailableError, psycopg.Error) as error:
        if isinstance(error, DatabaseUnavailableError) and dagster_database.is_missing(dagster_url):
            return {database.name: NEVER for database in databases}
        said = str(error).strip().splitlines()[0]
        unknown = NextRun(
            None, f"unknown: Dagster's database cannot be read ({said}). To see more", "opsctl doctor"
        )
        return {database.name: unknown for database in databases}


def _next_runs(
    connection: Connection, databases: Sequence[Database], now: datetime
) -> Iterator[tuple[str, NextRun]]:
    has_dagster = scalar(connection, sql.get("diagnosis/has_dagster"))
    rows = connection.execute(sql.get("diagnosis/heartbeats")).fetchall() if has_dagster else []
    heartbeats = [heartbeat for heartbeat in (Heartbeat(*row) for row in rows) if heartbeat.kind in STARTERS]
    if not heartbeats:
        yield from ((database.name, NEVER) for database in databases)
        return
    oldest = max(heartbeats, key=lambda heartbeat: heartbeat.age)
    if oldest.silent:
        last = datetime.now(UTC) - timedelta(seconds=oldest.age)
        problem = f"none: no Dagster daemon has reported since {last:%Y-%m-%d %H:%M} UTC. To start it"
        yield from ((database.name, NextRun(None, problem, daemon.START)) for database in databases)
        return
    by_job = {database.job_name: database for database in databases}
    for job, *row in connection.execute(sql.get("diagnosis/schedules"), {"schedules": list(by_job)}):
        yield (
            by_job[job].name,
            _of_schedule(
                by_job[job], row[0], schedules.state(by_job[job].schedule, now, *row), now, oldest.age
            ),
        )


def _of_schedule(
    database: Database, on: bool | None, problem: str | None, now: datetime, age: float
) -> NextRun:
    if on is None:
        return NextRun(
            None,
            f"none: the daemon has not seen the schedule {database.job_name} yet. If the daemon has run for "
            "more than a minute, it cannot load the code location. To see why",
            "opsctl doctor",
        )
    if not on:
        return NextRun(
            None,
            f"none: the schedule {database.job_name} is off. To turn it on",
            schedules.turn_on(database.name),
        )
    at = overdue.next_scheduled(database.schedule, now).astimezone(UTC)
    if age > daemon.LATE_SECONDS:
        late = (
            f"in doubt: the Dagster daemon reported {age:.0f} s ago, and does so every "
            f"{daemon.INTERVAL_SECONDS} s. If it has ended, start it"
        )
        return NextRun(at, f"{problem}; {late}" if problem else late, daemon.START)
    return NextRun(at, problem, note=f"the daemon reported {age:.0f} s ago")

"""Schedules that are off, or whose last tick failed or is missing."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim

import sql
from ops_pipeline.diagnosis.diagnosis import Diagnosis, Installation
from ops_pipeline.finding import Finding
from ops_pipeline.opsctl import opsctl
from ops_pipeline.policies.model import Schedule

LATE_AFTER = timedelta(minutes=10)
"""How long after its time a schedule's tick may be missing: the daemon looks about once a minute."""


def _look(installation: Installation) -> Iterator[Finding]:
    connection = installation.dagster_connection()
    schedules = {database.job_name: database.schedule for database in installation.databases()}
    databases = {database.job_name: database.name for database in installation.databases()}
    for name, on, since, *tick in connection.execute(
        sql.get("diagnosis/schedules"), {"schedules": list(schedules)}
    ):
        problem = state(schedules[name], datetime.now(UTC), on, since, *tick)
        if problem is not None:
            if on:
                yield Finding(name, problem)
            else:
                yield Finding(name, f"{problem}. To turn it on", (turn_on(databases[name]),))


def turn_on(database: str) -> str:
    """The command that turns the schedule of that database on."""
    return opsctl("schedule", "on", database=database)


def state(
    schedule: Schedule,
    now: datetime,
    on: bool | None,
    since: datetime | None,
    ticked: datetime | None,
    status: str | None,
    error: str | None,
) -> str | None:
    """What is wrong with a schedule, by its row of `diagnosis/schedules`; None: nothing, or no daemon has
    seen it yet. The row's times are in UTC, without a time zone."""
    if on is None or since is None:
        return None
    if not on:
        return "the schedule is off: no nightly run starts by itself"
    if status == "FAILURE":
        said = f": {error.strip().splitlines()[0]}" if error and error.strip() else ""
        return f"its last tick, at {ticked:%Y-%m-%d %H:%M} UTC, failed{said}. No run was started"
    zone = ZoneInfo(schedule.timezone)
    due = next(CronSim(schedule.cron, now.astimezone(zone) - LATE_AFTER, reverse=True)).astimezone(UTC)
    last = ticked.replace(tzinfo=UTC) if ticked else None
    if due > since.replace(tzinfo=UTC) and (last is None or last < due):
        was = f"its last one was at {last:%Y-%m-%d %H:%M} UTC" if last else "it has none"
        return (
            f"the tick of {due:%Y-%m-%d %H:%M} UTC is missing ({was}), so that nightly run was not started: "
            "the daemon was down, or cannot load the code location"
        )
    return None


SCHEDULES = Diagnosis(
    id="schedules",
    severity="error",
    question="Is the schedule of each database on, and did its last tick succeed?",
    remedy="To turn it on, run `opsctl schedule on --database NAME`. A failed tick's error is in the Dagster "
    "UI (Automation).",
    look=_look,
)

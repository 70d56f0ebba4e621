"""The health check of the nightly runs' start: Dagster's daemon, schedules and loaded policies."""

from datetime import UTC, datetime

import psycopg

import sql
from api.health.check import OK, Finding
from api.health.connection import ask
from api.health.maintenance import MaintenanceChecks
from ops_pipeline.diagnosis import schedules, sensors
from ops_pipeline.diagnosis.daemon import Heartbeat, Senders, silent
from ops_pipeline.diagnosis.loaded_policies import CODE_LOCATION
from ops_pipeline.policies.model import Database


class SchedulerCheck:
    """Asks Dagster's database, and the maintained ones for the policies that the code location has loaded."""

    def __init__(self, dagster_url: str | None, policies: MaintenanceChecks) -> None:
        self._dagster_url = dagster_url
        self._policies = policies
        self._senders = Senders()

    async def starts(self) -> Finding:
        """Whether the daemons of one process report, the schedule of each database is on, its last tick
        succeeded, all sensors are on, and the code location has loaded the same policies as this process."""
        if self._dagster_url is None:
            return Finding("not_configured", "OPS_DAGSTER_DATABASE_URL is not set")
        try:
            url = self._dagster_url
            problem = await self._daemon(url) or await self._schedules(url) or await self._sensors(url)
        except psycopg.errors.UndefinedTable:
            return Finding("error", "Dagster has never run: its database is empty")
        except psycopg.OperationalError as error:
            return Finding("error", f"Dagster's database does not answer: {str(error).splitlines()[0]}")
        return Finding("error", problem) if problem else await self._same_policies()

    async def _daemon(self, url: str) -> str | None:
        rows = await ask(url, sql.get("diagnosis/heartbeats"), ours=False)
        heartbeats = [Heartbeat(*row) for row in rows]
        return silent(heartbeats) or self._senders.several(heartbeats)

    async def _schedules(self, url: str) -> str | None:
        policies = await self._policies.current()
        if policies is None:
            return None
        planned = {database.job_name: database for database in policies.databases}
        rows = await ask(url, sql.get("diagnosis/schedules"), {"schedules": list(planned)}, ours=False)
        now = datetime.now(UTC)
        problems = []
        for name, on, *row in rows:
            problem = schedules.state(planned[name].schedule, now, on, *row)
            if problem is not None:
                remedy = "" if on else f". To turn it on: {schedules.turn_on(planned[name].name)}"
                problems.append(f"{name}: {problem}{remedy}")
        return "; ".join(problems) or None

    async def _sensors(self, url: str) -> str | None:
        stopped = await ask(url, sql.get("diagnosis/stopped_sensors"), sensors.VALUES, ours=False)
        return "; ".join(sensors.in_words(str(name) for (name,) in stopped)) or None

    async def _same_policies(self) -> Finding:
        policies = await self._policies.current()
        if policies is None:
            return OK
        return await self._policies.of_each(policies.databases, _other_policies)


async def _other_policies(database: Database, url: str) -> list[str]:
    rows = await ask(url, sql.get("diagnosis/loaded_policies"))
    loaded = {(host, fingerprint) for program, host, fingerprint, _ in rows if program == CODE_LOCATION}
    if not loaded:
        return [
            f"{database.name}: no code location has loaded its policies. Reload it in the Dagster UI "
            "(Deployment), which shows its error"
        ]
    others = sorted(host for host, fingerprint in loaded if fingerprint != database.fingerprint)
    return [
        f"{database.name}: the code location on {host} has loaded other policies than the API. Reload it in "
        "the Dagster UI (Deployment). If this remains, give both the same file (OPS_POLICIES)"
        for host in others
    ]

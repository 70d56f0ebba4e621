"""The checks of what the policies promise: each database asked about its own, where it is."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import psycopg
from cronsim import CronSim

import sql
from api.health.check import OK, Finding
from api.health.connection import ask
from ops_pipeline import settings
from ops_pipeline.maintenance import kinds
from ops_pipeline.policies.file import PolicyError
from ops_pipeline.policies.model import Database, Policies, Schedule
from ops_pipeline.postgres.relation import TableName, audit_logs

LATE_AFTER = timedelta(hours=2)
"""How long after its hour a night may still be under way before it counts as missed."""
AT_ONCE = 4
"""How many databases are asked at the same time."""


class MaintenanceChecks:
    """What `policies.yaml` says, as it is now, held against what the databases say was done.

    Raises PolicyError when the file is wrong at the start; one that turns wrong later is a finding.
    """

    def __init__(self, resolved: settings.Settings) -> None:
        self._settings = resolved
        self._modified: float | None = None
        self._policies: Policies | None = None
        self._load()

    async def done(self) -> Finding:
        """Whether each policy was carried out to its end since the last night, and left nothing."""
        if (policies := await self._current()) is None:
            return Finding("not_configured", "there is no policies file")

        async def late(database: Database, url: str) -> list[str]:
            due = last_night(database.schedule, datetime.now(UTC))
            wanted = [policy.name for policy in database.policies]
            rows = await ask(url, sql.get("api/health/maintenance"), {"policies": wanted})
            return [problem for row in rows if (problem := _late(due, *row))]

        return await self._of_each(policies.databases, late)

    async def partitions(self) -> Finding:
        """Whether tomorrow's rows have a partition of their own to go to, the audit log's before all."""
        tomorrow = (datetime.now(UTC) + timedelta(days=1)).replace(hour=12)
        policies = await self._current()

        async def missing(url: str, tables: Sequence[TableName], cure: str) -> list[str]:
            problems = []
            for table in tables:
                values = {"schema": table.schema, "name": table.name, "moment": tomorrow}
                if not await ask(url, sql.get("api/health/partition_of"), values):
                    problems.append(f"{table} has no partition for tomorrow; run {cure}")
            return problems

        own_url = self._settings.database_url or ""

        async def of_policies(database: Database, url: str) -> list[str]:
            tables = _by_day(database) - ({audit_logs()} if url == own_url else set())
            return await missing(url, sorted(tables), "the nightly maintenance")

        own = await missing(own_url, [audit_logs()], "`opsctl migrate`")
        named = [database for database in policies.databases if _by_day(database)] if policies else []
        rest = await self._of_each(named, of_policies)
        problems = [*own, *([rest.message] if rest.status == "error" else [])]
        return Finding("error", "; ".join(problems)) if problems else OK

    async def _of_each(
        self,
        databases: Sequence[Database],
        look: Callable[[Database, str], Awaitable[list[str]]],
    ) -> Finding:
        """Asks every database; one that does not answer is a problem of its own and hides no other's."""
        environment = settings.environment(self._settings)
        some = asyncio.Semaphore(AT_ONCE)

        async def problems(database: Database) -> list[str]:
            try:
                async with some:
                    return await look(database, database.url(environment))
            except (psycopg.Error, PolicyError) as error:
                return [f"{database.name}: {str(error).strip().splitlines()[0]}"]

        lines = [line for lines in await asyncio.gather(*map(problems, databases)) for line in lines]
        return Finding("error", "; ".join(lines)) if lines else OK

    async def _current(self) -> Policies | None:
        # Reading a long file takes longer than the loop may stand still.
        return await asyncio.to_thread(self._load)

    def _load(self) -> Policies | None:
        path = self._settings.policies
        modified = path.stat().st_mtime if path.exists() else None
        if modified != self._modified:
            self._policies = None if modified is None else kinds.load(path)
            self._modified = modified
        return self._policies


def last_night(schedule: Schedule, now: datetime) -> datetime:
    """When the last night began that should be over by now."""
    return next(
        CronSim(schedule.cron, now.astimezone(ZoneInfo(schedule.timezone)) - LATE_AFTER, reverse=True)
    )


def _late(
    due: datetime, name: str, done: datetime | None, left: int | None, outcome: str | None, reason: str | None
) -> str | None:
    """What is wrong with a policy. Only a run that came to its own end counts: one that needs approval or was
    skipped, or one of an outcome that is not known here yet, has not kept the promise."""
    newest = f"; its newest run is {outcome} ({reason})" if outcome not in {None, "done"} else ""
    if done is None:
        return f"{name} has never run to its end{newest}"
    if done < due:
        return f"{name} last ran to its end {done:%Y-%m-%d %H:%M} UTC{newest}"
    return f"{name} left {left:,} rows" if left else None


def _by_day(database: Database) -> set[TableName]:
    return {table for policy in database.policies if (table := policy.partitioned_by_day()) is not None}

"""The health checks of the policies: whether they ran, and whether partitions were premade."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import psycopg

import sql
from api.health.check import OK, Finding
from api.health.connection import InvalidUrlError, ask
from ops_pipeline import settings
from ops_pipeline.diagnosis.loaded_policies import API
from ops_pipeline.maintenance import kinds
from ops_pipeline.maintenance.overdue import LastRuns, last_scheduled, problem
from ops_pipeline.opsctl import opsctl
from ops_pipeline.pauses.pauses import Pause
from ops_pipeline.policies.file import PolicyError
from ops_pipeline.policies.model import Database, Policies
from ops_pipeline.postgres.relation import TableName, audit_logs

AT_ONCE = 4
"""How many databases are checked at the same time."""


class MaintenanceChecks:
    """Compares the current `policies.yaml` with the runs recorded in the databases.

    Raises PolicyError when the file is invalid at the start. When it becomes invalid later, that is the
    finding of `done`; the others continue with the last valid file."""

    def __init__(self, resolved: settings.Settings) -> None:
        self._settings = resolved
        self._modified: float | None = None
        self._policies: Policies | None = None
        self._load()

    async def done(self) -> Finding:
        """Whether each policy is done since the last scheduled run, and no rows remain.

        Also records in each database which policies this process has loaded.
        """
        if (policies := await self.current()) is None:
            return self._no_file()

        async def late(database: Database, url: str) -> list[str]:
            due = last_scheduled(database.schedule, datetime.now(UTC))
            wanted = [policy.name for policy in database.policies]
            rows = await ask(url, sql.get("maintenance/last_runs"), {"policies": wanted})
            await ask(url, sql.get("diagnosis/record_loaded_policies"), _loaded(database))
            return [found for row in rows if (found := problem(LastRuns(*row), due))]

        return await self.of_each(policies.databases, late)

    async def paused(self) -> Finding:
        """Whether maintenance of a database is paused. Runs that are throttled now are named as well; that
        they wait is as it should be."""
        if (policies := await self._last_valid()) is None:
            return self._no_file()
        throttled: list[str] = []

        async def paused(database: Database, url: str) -> list[str]:
            ((*pause, waiting),) = await ask(url, sql.get("api/health/paused"))
            throttled.extend(
                f"{policy} has been throttled since {since} UTC, {why}" for policy, since, why in waiting
            )
            return [] if pause[0] is None else [f"{database.name}: {Pause(*pause).in_words(database.name)}"]

        found = await self.of_each(policies.databases, paused)
        return found if found.status == "error" else Finding("ok", "; ".join(sorted(throttled)))

    async def partitions(self) -> Finding:
        """Whether a partition exists for tomorrow's rows, of the audit log and of tables partitioned by
        day."""
        tomorrow = (datetime.now(UTC) + timedelta(days=1)).replace(hour=12)
        policies = await self._last_valid()

        async def missing(url: str, cures: Mapping[TableName, str]) -> list[str]:
            problems = []
            for table, cure in sorted(cures.items()):
                values = {"schema": table.schema, "name": table.name, "moment": tomorrow}
                if not await ask(url, sql.get("api/health/partition_of"), values):
                    problems.append(f"{table} has no partition for tomorrow; run `{cure}`")
            return problems

        own_url = self._settings.database_url or ""

        async def of_policies(database: Database, url: str) -> list[str]:
            cures = _by_day(database)
            if url == own_url:
                cures.pop(audit_logs(), None)
            return await missing(url, cures)

        own = await missing(own_url, {audit_logs(): opsctl("migrate")})
        named = [database for database in policies.databases if _by_day(database)] if policies else []
        rest = await self.of_each(named, of_policies)
        problems = [*own, *([rest.message] if rest.status == "error" else [])]
        return Finding("error", "; ".join(problems)) if problems else OK

    def _no_file(self) -> Finding:
        path = self._settings.policies
        return Finding(
            "not_configured",
            f"{path} does not exist. Put the policies file there, or set OPS_POLICIES to it and restart the "
            "API",
        )

    async def of_each(
        self,
        databases: Sequence[Database],
        look: Callable[[Database, str], Awaitable[list[str]]],
    ) -> Finding:
        """Checks every database. One that does not answer is a problem of its own and does not hide
        others'."""
        environment = settings.environment(self._settings)
        some = asyncio.Semaphore(AT_ONCE)

        async def problems(database: Database) -> list[str]:
            try:
                async with some:
                    return await look(database, database.url(environment))
            except InvalidUrlError as error:
                return [f"{database.name}: {error}; correct {database.url_origin}"]
            except (psycopg.Error, PolicyError) as error:
                return [f"{database.name}: {str(error).strip().splitlines()[0]}"]

        lines = [line for lines in await asyncio.gather(*map(problems, databases)) for line in lines]
        return Finding("error", "; ".join(lines)) if lines else OK

    async def current(self) -> Policies | None:
        """The policies of the file as it is now; None: the file does not exist. Raises PolicyError."""
        # In a thread: parsing a long file would block the event loop.
        return await asyncio.to_thread(self._load)

    async def _last_valid(self) -> Policies | None:
        """The policies of the last file that could be read; None: there was none."""
        with suppress(PolicyError):
            return await self.current()
        return self._policies

    def _load(self) -> Policies | None:
        path = self._settings.policies
        modified = path.stat().st_mtime if path.exists() else None
        if modified is None and self._modified is not None:
            raise PolicyError([f"{path}: no longer exists, so no nightly run starts. Put the file back"])
        if modified != self._modified:
            self._policies = None if modified is None else kinds.load(path)
            self._modified = modified
        return self._policies


def _loaded(database: Database) -> dict[str, str]:
    return {"program": API, "host": socket.gethostname(), "fingerprint": database.fingerprint}


def _by_day(database: Database) -> dict[TableName, str]:
    """The tables that are partitioned by day, each with the command that creates its partitions."""
    return {
        table: opsctl("run", policies=[policy.name])
        for policy in database.policies
        if (table := policy.partitioned_by_day()) is not None
    }

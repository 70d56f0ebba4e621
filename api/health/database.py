"""The checks that ask the database, on connections of their own: the pool's may be busy, or dead."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString
from zoneinfo import ZoneInfo

import psycopg
from cronsim import CronSim

import sql
from api.deadline import deadline
from api.health.check import OK, Finding
from api.pool import Pool
from ops_pipeline.policy import Policies, Schedule

Connection = psycopg.AsyncConnection[tuple[Any, ...]]

PING_SECONDS = 2
LATE_AFTER = timedelta(hours=2)
"""How long after its hour a night may still be under way before it counts as missed."""
HEARTBEAT_SECONDS = 300
"""Dagster itself calls a daemon unhealthy that has not been heard of for so long."""
OLD_TRANSACTION_SECONDS = 3600
OLD_TRANSACTION_IDS = 1_000_000_000
"""Half of what there is before PostgreSQL refuses writes; autovacuum forces itself at 200 million."""
REPLICA_LAG_SECONDS = 60


class Ping:
    """Keeps one connection and asks over it, again and again, whether the database answers."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: Connection | None = None

    async def __call__(self) -> Finding:
        """Raises psycopg.Error when the database does not answer; the next call connects anew."""
        connection, self._connection = self._connection, None
        if connection is None or connection.closed or connection.broken:
            connection = await _connect(self._url)
        with deadline(connection, PING_SECONDS):
            found = await (await connection.execute(sql.get("health/schema"))).fetchone()
        self._connection = connection
        return OK if found and found[0] else Finding("error", "Schema missing: run `opsctl migrate`")

    async def close(self) -> None:
        """Ends the connection."""
        if self._connection is not None:
            await self._connection.close()


class Database:
    """Questions about the database that looks after itself less often than it should."""

    def __init__(self, url: str, dagster_url: str | None, policies: Policies | None) -> None:
        self._url = url
        self._dagster_url = dagster_url
        self._policies = policies

    async def schema(self) -> Finding:
        """Whether every migration that this program knows has been applied."""
        known = {file.stem for file in (sql.FOLDER / "migrations").glob("*.sql")}
        applied = {name for (name,) in await self._rows(sql.get("health/migrations"))}
        missing = sorted(known - applied)
        if missing:
            return Finding("error", f"not applied yet: {', '.join(missing)}; run `opsctl migrate`")
        return OK

    async def scheduler(self) -> Finding:
        """Whether Dagster's daemons have been heard of lately."""
        if self._dagster_url is None:
            return Finding("not_configured", "OPS_DAGSTER_DATABASE_URL is not set")
        try:
            rows = await self._rows(sql.get("health/heartbeats"), url=self._dagster_url)
        except psycopg.errors.UndefinedTable:
            return Finding("error", "Dagster has never run: its database is empty")
        except psycopg.OperationalError as error:
            return Finding("error", f"Dagster's database does not answer: {str(error).splitlines()[0]}")
        ages: dict[str, float] = dict(rows)
        if "SCHEDULER" not in ages:
            return Finding("error", "no scheduler has been heard of; start the Dagster daemon")
        silent = [f"{name} ({age:.0f} s)" for name, age in ages.items() if age > HEARTBEAT_SECONDS]
        return Finding("error", f"not heard of: {', '.join(silent)}") if silent else OK

    async def maintenance(self) -> Finding:
        """Whether each policy has run since the last night that is over, and left nothing."""
        if self._policies is None:
            return Finding("not_configured", "there is no policies file")
        wanted = [rule.name for _, rule in self._policies]
        rows = await self._rows(sql.get("health/maintenance"), {"policies": wanted})
        last = {policy: (finished, left) for policy, finished, left in rows}
        due = {rule.name: _last_night(database.schedule) for database, rule in self._policies}
        problems = []
        for name in wanted:
            finished, left = last.get(name, (None, None))
            if finished is None:
                problems.append(f"{name} has never run")
            elif finished < due[name]:
                problems.append(f"{name} last ran {finished:%Y-%m-%d %H:%M} UTC")
            elif left:
                problems.append(f"{name} left {left:,} rows")
        return Finding("error", "; ".join(problems)) if problems else OK

    async def partitions(self) -> Finding:
        """Whether tomorrow's events have a partition of their own to go to."""
        tomorrow = (datetime.now(UTC) + timedelta(days=1)).replace(hour=12)
        rows = await self._rows(sql.get("health/partition_of"), {"moment": tomorrow})
        if rows:
            return OK
        return Finding("error", "audit_logs has no partition for tomorrow; run `opsctl migrate`")

    async def transactions(self) -> Finding:
        """Whether an old transaction, or the age of the oldest row, keeps VACUUM from its work."""
        ((pid, seconds, state, age),) = await self._rows(sql.get("health/transactions"))
        if age > OLD_TRANSACTION_IDS:
            return Finding("error", f"the database's oldest transaction id is {age:,} transactions old")
        if seconds is not None and seconds > OLD_TRANSACTION_SECONDS:
            return Finding("error", f"pid {pid} ({state}) holds a transaction open for {seconds:,.0f} s")
        return OK

    async def replicas(self) -> Finding:
        """Whether the standbys keep up."""
        rows = await self._rows(sql.get("health/replicas"))
        if not rows:
            return Finding("not_configured", "no standby is connected")
        late = [f"{name} ({lag:.0f} s)" for name, lag in rows if lag > REPLICA_LAG_SECONDS]
        return Finding("error", f"behind: {', '.join(late)}") if late else OK

    async def _rows(
        self, statement: LiteralString, values: Any = None, url: str | None = None
    ) -> list[tuple[Any, ...]]:
        async with _connected(url or self._url) as connection:
            with deadline(connection, PING_SECONDS):
                return await (await connection.execute(statement, values)).fetchall()


async def saturation(pools: Iterable[Pool]) -> Finding:
    """Whether requests wait for a connection."""
    waiting = sum(pool.waiting for pool in pools)
    return Finding("error", f"{waiting} requests wait for a connection") if waiting else OK


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[Connection]:
    connection = await _connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def _connect(url: str) -> Connection:
    return await psycopg.AsyncConnection.connect(
        url, autocommit=True, connect_timeout=PING_SECONDS, application_name="ops api health"
    )


def _last_night(schedule: Schedule) -> datetime:
    """When the last night began that should be over by now."""
    now = datetime.now(ZoneInfo(schedule.timezone)) - LATE_AFTER
    return next(CronSim(schedule.cron, now, reverse=True))

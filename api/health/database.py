"""The checks that ask the database, and Dagster's."""

from collections.abc import Mapping

import psycopg

import sql
from api.db.pool import Pool
from api.health.check import OK, Finding
from api.health.connection import HealthConnection, ask
from ops_pipeline.postgres.ready import KNOWN_MIGRATIONS
from ops_pipeline.postgres.relation import audit_logs, our_table

HEARTBEAT_SECONDS = 300
"""Dagster itself calls a daemon unhealthy that has not been heard of for so long."""
OLD_TRANSACTION_SECONDS = 3600
OLD_TRANSACTION_IDS = 1_000_000_000
"""Half of what there is before PostgreSQL refuses writes; autovacuum forces itself at 200 million."""
REPLICA_LAG_SECONDS = 60
"""The migrations there were when this process began: a newer version that is put in its place on the disk
must not make the one that still runs believe that something is missing."""


async def answers(connection: HealthConnection) -> Finding:
    """Whether the database answers at all. Raises psycopg.Error."""
    await connection.rows(sql.get("api/health/ping"))
    return OK


async def schema(connection: HealthConnection) -> Finding:
    """Whether every migration that this program knows has been applied, and our tables are still there."""
    try:
        applied = await connection.rows(sql.get("api/health/schema"))
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        return Finding("error", "none of our tables is there; run `opsctl migrate`")
    missing = sorted(KNOWN_MIGRATIONS - {migration for migration, _ in applied})
    if missing:
        return Finding("error", f"not applied yet: {', '.join(missing)}; run `opsctl migrate`")
    if not all(tables_exist for _, tables_exist in applied):
        return Finding(
            "error",
            f"the migrations were applied and {audit_logs()} or {our_table('api_keys')} is gone; run "
            "`opsctl doctor`, which says what to do, or restore them",
        )
    return OK


class DatabaseChecks:
    """Questions about the database that it is enough to ask now and then."""

    def __init__(self, url: str, dagster_url: str | None) -> None:
        self._url = url
        self._dagster_url = dagster_url

    async def scheduler(self) -> Finding:
        """Whether Dagster's daemons have been heard of lately."""
        if self._dagster_url is None:
            return Finding("not_configured", "OPS_DAGSTER_DATABASE_URL is not set")
        try:
            rows = await ask(self._dagster_url, sql.get("api/health/heartbeats"), ours=False)
        except psycopg.errors.UndefinedTable:
            return Finding("error", "Dagster has never run: its database is empty")
        except psycopg.OperationalError as error:
            return Finding("error", f"Dagster's database does not answer: {str(error).splitlines()[0]}")
        ages: dict[str, float] = dict(rows)
        if "SCHEDULER" not in ages:
            return Finding("error", "no scheduler has been heard of; start the Dagster daemon")
        silent = [f"{name} ({age:.0f} s)" for name, age in ages.items() if age > HEARTBEAT_SECONDS]
        return Finding("error", f"not heard of: {', '.join(silent)}") if silent else OK

    async def transactions(self) -> Finding:
        """Whether an old transaction, or the age of the oldest row, keeps VACUUM from its work."""
        ((pid, seconds, state, age),) = await ask(self._url, sql.get("api/health/transactions"))
        if age > OLD_TRANSACTION_IDS:
            return Finding("error", f"the database's oldest transaction id is {age:,} transactions old")
        if seconds is not None and seconds > OLD_TRANSACTION_SECONDS:
            return Finding("error", f"pid {pid} ({state}) holds a transaction open for {seconds:,.0f} s")
        return OK

    async def replicas(self) -> Finding:
        """Whether the standbys keep up."""
        rows = await ask(self._url, sql.get("api/health/replicas"))
        if not rows:
            return Finding("not_configured", "no standby is connected")
        late = [f"{name} ({lag:.0f} s)" for name, lag in rows if lag > REPLICA_LAG_SECONDS]
        return Finding("error", f"behind: {', '.join(late)}") if late else OK


async def saturation(pools: Mapping[str, Pool]) -> Finding:
    """Whether requests wait for a connection."""
    waiting = {name: pool.waiting for name, pool in pools.items() if pool.waiting}
    if not waiting:
        return OK
    of_each = ", ".join(f"{count} for one that {name}" for name, count in waiting.items())
    return Finding("error", f"{sum(waiting.values())} requests wait for a connection: {of_each}")

"""The health checks of the database."""

from collections.abc import Mapping

import psycopg

import sql
from api.db.pool import Pool
from api.health.check import OK, Finding
from api.health.connection import HealthConnection, ask
from ops_pipeline.diagnosis.old_transactions import OLD_SECONDS, findings
from ops_pipeline.postgres.ready import KNOWN_MIGRATIONS
from ops_pipeline.postgres.relation import audit_logs, our_table

OLD_TRANSACTION_IDS = 1_000_000_000
"""Half of the age at which PostgreSQL refuses writes; autovacuum forces a freeze at 200 million."""
REPLICA_LAG_SECONDS = 60
MOST_WAITING = 1
"""One request that waits at one instant takes the connection that the next short one returns."""


async def answers(connection: HealthConnection) -> Finding:
    """Whether the database answers. Raises psycopg.Error."""
    await connection.rows(sql.get("api/health/ping"))
    return OK


async def schema(connection: HealthConnection) -> Finding:
    """Whether all migrations known to this program were applied, and our tables exist."""
    try:
        applied = await connection.rows(sql.get("api/health/schema"))
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        return Finding("error", "Ops Pipeline's tables do not exist; run `opsctl migrate`")
    missing = sorted(KNOWN_MIGRATIONS - {migration for migration, _ in applied})
    if missing:
        return Finding("error", f"not applied yet: {', '.join(missing)}; run `opsctl migrate`")
    if not all(tables_exist for _, tables_exist in applied):
        return Finding(
            "error",
            f"{audit_logs()} or {our_table('api_keys')} is missing although the migrations were applied; run "
            "`opsctl doctor` to see what to do, or restore them",
        )
    return OK


class DatabaseChecks:
    """Checks of the database that are run every 15 seconds."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def transactions(self) -> Finding:
        """Whether an old transaction keeps VACUUM from removing rows, or transaction ids are running out."""
        ((age,),) = await ask(self._url, sql.get("api/health/xid_age"))
        if age > OLD_TRANSACTION_IDS:
            advice = "VACUUM (FREEZE) its oldest tables: opsctl run, whose check xid_age names them"
            return Finding("error", f"the database's oldest row is {age:,} transactions old; {advice}")
        for statement in (sql.get("diagnosis/old_sessions"), sql.get("diagnosis/old_prepared_transactions")):
            for found in findings(await ask(self._url, statement, {"seconds": OLD_SECONDS})):
                return Finding("error", f"{found.problem}: {' or '.join(found.remedies)}")
        return OK

    async def replicas(self) -> Finding:
        """Whether the standbys lag behind."""
        rows = await ask(self._url, sql.get("api/health/replicas"))
        if not rows:
            return Finding("not_configured", "no standby is connected")
        late = [f"{name} ({lag:.0f} s)" for name, lag in rows if lag > REPLICA_LAG_SECONDS]
        return Finding("error", f"standbys that lag behind: {', '.join(late)}") if late else OK


async def saturation(pools: Mapping[str, Pool]) -> Finding:
    """Whether several requests are waiting for a connection at the same instant."""
    waiting = {name: pool.waiting for name, pool in pools.items() if pool.waiting}
    if sum(waiting.values()) <= MOST_WAITING:
        return OK
    of_each = ", ".join(f"{name} {count}" for name, count in waiting.items())
    requests = f"{sum(waiting.values()):,} requests"
    return Finding("error", f"{requests} are waiting for a connection, by pool: {of_each}")

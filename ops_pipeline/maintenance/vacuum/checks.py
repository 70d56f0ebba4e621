"""The checks of a vacuum policy: dead rows were removed, and no table is near transaction ID wraparound."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from ops_pipeline.counted import counted
from ops_pipeline.maintenance import history
from ops_pipeline.maintenance.check import CheckResult, PolicyCheck
from ops_pipeline.maintenance.vacuum import horizon, priorities
from ops_pipeline.maintenance.vacuum.policy import Vacuum
from ops_pipeline.maintenance.vacuum.tables import Table, policy_tables
from ops_pipeline.postgres.connection import Connection

FAR_TOO_OLD = 1_000_000_000
"""Transactions. At about twice that PostgreSQL accepts no more writes."""


def checks(policy: Vacuum) -> Iterator[PolicyCheck]:
    """The checks of that policy."""
    yield PolicyCheck(
        "dead_rows_removed",
        "The last run removed the dead rows of the tables it vacuumed. Where it could not, the result names "
        "the session that blocked it.",
        partial(_dead_rows_removed, policy),
        runbook="dead_rows_removed",
    )
    yield PolicyCheck(
        "xid_age",
        "No table has reached the age at which autovacuum must freeze it (autovacuum_freeze_max_age). The "
        "policy freezes tables at half that age; if one reaches it anyway, an old session keeps it from "
        f"being frozen. At an age of {FAR_TOO_OLD:,} the run fails: at about twice that PostgreSQL accepts "
        "no more writes.",
        partial(_xid_age, policy),
        runbook="xid_age",
    )


def _dead_rows_removed(policy: Vacuum, connection: Connection) -> CheckResult:
    if policy.observe:
        return CheckResult(True, "Observed only (mode: observe): runs vacuum no table", {"tables": 0})
    if (paused := _paused(connection, policy)) is not None:
        return CheckResult(True, f"The last run did not vacuum all tables, because maintenance was {paused}")
    uncleaned = uncleaned_tables(connection, policy)
    dead = counted(uncleaned.dead, "dead row remains", "dead rows remain")
    return CheckResult(
        not uncleaned.tables,
        f"{dead} in {', '.join(uncleaned.tables)}: {uncleaned.reason}"
        if uncleaned.tables
        else "The last run removed all dead rows that it should have removed",
        {"dead_tuples": uncleaned.dead, "tables": len(uncleaned.tables)},
    )


def _xid_age(policy: Vacuum, connection: Connection) -> CheckResult:
    table = oldest_table(connection, policy)
    if table is None:
        return CheckResult(True, "The policy has no tables")
    return CheckResult(
        table.age_share < 1,
        f"{table} is the oldest: {table.age:,} transactions and {table.multixact_age:,} multixacts, "
        f"{table.age_share:.0%} of the age at which autovacuum must freeze it",
        {"age": table.age, "multixact_age": table.multixact_age, "share": round(table.age_share, 4)},
        fails_run=max(table.age, table.multixact_age) >= FAR_TOO_OLD,
    )


def _paused(connection: Connection, policy: Vacuum) -> str | None:
    last_run = history.last(connection, policy.name)
    return last_run.stopped_reason if last_run is not None and last_run.work_outcome == "paused" else None


@dataclass(frozen=True, slots=True)
class UncleanedTables:
    """Tables that the last run could not clean and that still have their dead rows, and why."""

    tables: tuple[str, ...]
    dead: int
    reason: str


def uncleaned_tables(connection: Connection, policy: Vacuum) -> UncleanedTables:
    """The tables that the policy's last run could not clean and that were not cleaned since."""
    last_run = history.last(connection, policy.name)
    gains = last_run.details.get("tables", ()) if last_run else ()
    undone = {gain["table"] for gain in gains if gain["outcome"] != "done"}
    if last_run is None or not undone:
        return UncleanedTables((), 0, "")
    still = [
        table
        for table in policy_tables(connection, policy)
        if str(table) in undone and priorities.has_many_dead(table)
    ]
    holders = horizon.find_holders(connection) if still else []
    now = f"; now blocked by {horizon.named(holders)}" if holders else ""
    return UncleanedTables(
        tuple(map(str, still)),
        sum(table.dead + table.toast_dead for table in still),
        f"{last_run.stopped_reason}{now}",
    )


def oldest_table(connection: Connection, policy: Vacuum) -> Table | None:
    """The policy's table that is closest to the age at which autovacuum must freeze it."""
    tables = (table for table in policy_tables(connection, policy) if not table.parent)
    return max(tables, key=lambda table: table.age_share, default=None)

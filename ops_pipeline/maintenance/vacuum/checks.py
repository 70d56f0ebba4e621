"""What must hold after a run of a vacuum policy: dead rows are removed, and no table is too old."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ops_pipeline.maintenance import history
from ops_pipeline.maintenance.check import CheckResult, PolicyCheck
from ops_pipeline.maintenance.vacuum import horizon, priorities, tables
from ops_pipeline.maintenance.vacuum.policy import Vacuum
from ops_pipeline.maintenance.vacuum.tables import Table
from ops_pipeline.postgres.connection import Connection

FAR_TOO_OLD = 1_000_000_000
"""Transactions. PostgreSQL takes no writes any more at about twice that."""


def checks(policy: Vacuum) -> Iterator[PolicyCheck]:
    """The checks of that policy."""
    ask = _Vacuum(policy)
    yield PolicyCheck(
        "dead_rows_removed",
        "The last run could remove the dead rows it was there for. Where it could not, the session that "
        "holds on to them or has locked the table is named.",
        ask.dead_rows_removed,
    )
    yield PolicyCheck(
        "xid_age",
        "No table is so old that autovacuum must come to it at once. VACUUM freezes each at half that age; "
        f"one that gets there all the same is kept old by a session. At {FAR_TOO_OLD:,} the run fails: "
        "PostgreSQL takes no writes any more at about twice that.",
        ask.xid_age,
    )


@dataclass(frozen=True, slots=True)
class _Vacuum:
    policy: Vacuum

    def dead_rows_removed(self, connection: Connection) -> CheckResult:
        burden = dead_rows(connection, self.policy)
        return CheckResult(
            not burden.tables,
            f"{burden.dead:,} dead rows are still in {', '.join(burden.tables)}: {burden.reason}"
            if burden.tables
            else "The last run has left no dead rows that it was to remove",
            {"dead_tuples": burden.dead, "tables": len(burden.tables)},
        )

    def xid_age(self, connection: Connection) -> CheckResult:
        table = oldest(connection, self.policy)
        if table is None:
            return CheckResult(True, "There are no tables")
        return CheckResult(
            table.age_share < 1,
            f"{table} is the oldest: {table.age:,} transactions and {table.multixact_age:,} multixacts, "
            f"{table.age_share:.0%} of where autovacuum must come",
            {"age": table.age, "multixact_age": table.multixact_age, "share": round(table.age_share, 4)},
            fails_run=max(table.age, table.multixact_age) >= FAR_TOO_OLD,
        )


@dataclass(frozen=True, slots=True)
class Burden:
    """Tables that the last run could not clean and that still hold their dead rows, and why."""

    tables: tuple[str, ...]
    dead: int
    reason: str


def dead_rows(connection: Connection, policy: Vacuum) -> Burden:
    """What the last run of the policy left uncleaned, as far as nobody has cleaned it since."""
    last = history.last(connection, policy.name)
    undone = {
        each["table"]
        for each in (last.details.get("tables", ()) if last else ())
        if each["outcome"] != "done"
    }
    if last is None or not undone:
        return Burden((), 0, "")
    still = [each for each in tables.find(connection, policy) if str(each) in undone and _burdened(each)]
    holders = horizon.holders(connection) if still else []
    now = f"; now held back by {horizon.named(holders)}" if holders else ""
    return Burden(
        tuple(map(str, still)),
        sum(each.dead + each.toast_dead for each in still),
        f"{last.stopped_reason}{now}",
    )


def oldest(connection: Connection, policy: Vacuum) -> Table | None:
    """The policy's table that has gone furthest on its way to autovacuum's emergency."""
    found: Sequence[Table] = [each for each in tables.find(connection, policy) if not each.parent]
    return max(found, key=lambda each: each.age_share, default=None)


def _burdened(table: Table) -> bool:
    return priorities.burdened(table.live, table.dead) or priorities.burdened(
        table.toast_live, table.toast_dead
    )

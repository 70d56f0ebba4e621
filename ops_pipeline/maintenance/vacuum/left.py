"""What VACUUM has left, looked for again: dead rows that the last run could not remove, and old tables."""

from collections.abc import Sequence
from dataclasses import dataclass

from ops_pipeline import policy
from ops_pipeline.database import Connection
from ops_pipeline.maintenance import history
from ops_pipeline.maintenance.vacuum import choose, horizon, tables
from ops_pipeline.maintenance.vacuum.tables import Table


@dataclass(frozen=True, slots=True)
class Burden:
    """Tables that the last run could not clean and that still hold their dead rows, and why."""

    tables: tuple[str, ...]
    dead: int
    reason: str


def dead_rows(connection: Connection, rule: policy.Vacuum) -> Burden:
    """What the last run of the policy left uncleaned, as far as nobody has cleaned it since."""
    last = history.last(connection, rule.name)
    undone = {
        each["table"]
        for each in (last.details.get("tables", ()) if last else ())
        if each["outcome"] != "done"
    }
    if last is None or not undone:
        return Burden((), 0, "")
    still = [each for each in tables.find(connection, rule) if str(each) in undone and _burdened(each)]
    holders = horizon.holders(connection) if still else []
    now = f"; now held back by {horizon.named(holders)}" if holders else ""
    return Burden(
        tuple(map(str, still)),
        sum(each.dead + each.toast_dead for each in still),
        f"{last.stopped_reason}{now}",
    )


def oldest(connection: Connection, rule: policy.Vacuum) -> Table | None:
    """The policy's table that has gone furthest on its way to autovacuum's emergency."""
    found: Sequence[Table] = [each for each in tables.find(connection, rule) if not each.parent]
    return max(found, key=lambda each: each.age_share, default=None)


def _burdened(table: Table) -> bool:
    return choose.burdened(table.live, table.dead) or choose.burdened(table.toast_live, table.toast_dead)

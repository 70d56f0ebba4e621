"""Chooses which tables a run vacuums, in which order, and why it skips the others.

The oldest first, because tables close to autovacuum's anti-wraparound vacuum cannot wait; then those with
most dead rows; then those whose statistics are stale.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from ops_pipeline.maintenance.vacuum.policy import Vacuum
from ops_pipeline.maintenance.vacuum.tables import Table, TableState

VacuumAction = Literal["freeze", "vacuum", "analyze", "skip"]

AGE_SHARE = 0.5
"""Of autovacuum_freeze_max_age (by default 200 million transactions): from here on the nightly run freezes a
table, before autovacuum must do it during the day."""
DEAD_SHARE = 0.05
"""Of a table's row versions; autovacuum waits for a fifth."""
LEAST_DEAD = 20
"""With fewer dead rows VACUUM is not worth it, whatever their share."""
MANY_DEAD = 100_000
"""With as many dead rows VACUUM is worth it, whatever their share."""
CHANGED_SHARE = 0.05
"""Of a table's rows, written since its last ANALYZE; autovacuum waits for a tenth."""
LEAST_CHANGED = 50
ONE_ANALYZE = timedelta(hours=1)
"""How long the ANALYZE of a partitioned table may take for its partitions."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What a run does with a table, and why. `analyze`: it is also analyzed."""

    table: Table
    action: VacuumAction
    reason: str
    analyze: bool = False


def choose(tables: Sequence[Table], policy: Vacuum) -> list[Choice]:
    """A choice for each table: first those to work on, in order, then those to skip."""
    renewed = {table.oid for table in tables if _root_is_stale(table, tables, policy)}
    ranked = sorted(
        (_rank(table, policy, renewed) for table in tables),
        key=lambda ranked: (ranked[0], str(ranked[1].table)),
    )
    return [choice for _, choice in ranked]


def has_many_dead(table: Table | TableState) -> bool:
    """Whether the table, or its TOAST table, has enough dead row versions for a VACUUM."""
    return _many_dead(table.live, table.dead) or _many_dead(table.toast_live, table.toast_dead)


def _many_dead(live: int, dead: int) -> bool:
    return dead >= MANY_DEAD or (dead >= LEAST_DEAD and dead >= DEAD_SHARE * (live + dead))


Rank = tuple[int, float]
LAST: Rank = (9, 0)


def _rank(table: Table, policy: Vacuum, renewed: set[int]) -> tuple[Rank, Choice]:
    if table.system and not table.allowed:
        return LAST, Choice(table, "skip", "system catalog that this user may not vacuum")
    if table.parent:
        return _rank_parent(table, policy, renewed)
    analyze = policy.analyze and table.root not in renewed
    return _urgent(table, policy, analyze) or _the_rest(table, policy, analyze)


def _urgent(table: Table, policy: Vacuum, analyze: bool) -> tuple[Rank, Choice] | None:
    analyze = analyze and (_stale(table) or policy.mode == "always")
    if table.age_share >= AGE_SHARE:
        return (0, -table.age_share), Choice(table, "freeze", _age(table), analyze)
    if has_many_dead(table):
        return (1, -_burden(table)), Choice(table, "vacuum", _dead(table), analyze)
    return None


def _the_rest(table: Table, policy: Vacuum, analyze: bool) -> tuple[Rank, Choice]:
    if _unknown(table):
        reason = "the server has no statistics for it: it is new, or they were lost in a crash"
        return (2, -table.bytes), Choice(table, "vacuum", reason, analyze)
    if policy.mode == "always":
        return (4, 0), Choice(table, "vacuum", "the policy has mode: always", analyze)
    if analyze and _stale(table):
        return (3, -table.changed), Choice(table, "analyze", _changes(table), analyze=True)
    return LAST, Choice(table, "skip", _fine(table))


def _rank_parent(table: Table, policy: Vacuum, renewed: set[int]) -> tuple[Rank, Choice]:
    if table.oid not in renewed:
        return LAST, Choice(table, "skip", "its rows are in its partitions, and its statistics are current")
    reason = "the policy has mode: always" if policy.mode == "always" else "its partitions have changed"
    return (5, 0), Choice(table, "analyze", reason, analyze=True)


def _root_is_stale(table: Table, tables: Iterable[Table], policy: Vacuum) -> bool:
    """Whether a partitioned table needs ANALYZE, which analyzes its partitions as well.

    Autovacuum never analyzes it. ANALYZE of a partition resets its counter of changed rows, so a partition
    that was analyzed after the root's last ANALYZE can have reached it counts as changed completely.
    """
    if not table.parent or table.root != table.oid or not policy.analyze:
        return False
    if policy.mode == "always":
        return True
    leaves = [leaf for leaf in tables if leaf.root == table.oid and not leaf.parent]
    changed = sum(
        leaf.changed
        if table.analyzed and (leaf.analyzed is None or leaf.analyzed <= table.analyzed + ONE_ANALYZE)
        else max(leaf.live, leaf.changed)
        for leaf in leaves
    )
    return changed >= max(LEAST_CHANGED, CHANGED_SHARE * sum(leaf.live for leaf in leaves))


def _burden(table: Table) -> float:
    """How urgent VACUUM is; 1 is the threshold."""
    return max(
        table.dead / MANY_DEAD,
        table.toast_dead / MANY_DEAD,
        _share(table.dead, table.live + table.dead) / DEAD_SHARE,
        _share(table.toast_dead, table.toast_live + table.toast_dead) / DEAD_SHARE,
    )


def _stale(table: Table) -> bool:
    return table.changed >= max(LEAST_CHANGED, CHANGED_SHARE * table.live)


def _unknown(table: Table) -> bool:
    """Whether it has rows but no statistics: a crash loses them, and autovacuum then does not start."""
    counted = (table.live, table.dead, table.changed, table.vacuumed, table.analyzed)
    return table.bytes > 0 and not table.system and not any(counted)


def _age(table: Table) -> str:
    if table.age / table.age_limit >= table.multixact_age / table.multixact_limit:
        return f"{table.age:,} transactions old, autovacuum must freeze it at {table.age_limit:,}"
    return f"{table.multixact_age:,} multixacts old, autovacuum must freeze it at {table.multixact_limit:,}"


def _dead(table: Table) -> str:
    if _many_dead(table.live, table.dead):
        share = _share(table.dead, table.live + table.dead)
        return f"{table.dead:,} dead rows, {share:.0%} of its rows"
    share = _share(table.toast_dead, table.toast_live + table.toast_dead)
    return f"{table.toast_dead:,} dead rows in its TOAST table, {share:.0%} of the rows there"


def _changes(table: Table) -> str:
    return f"{table.changed:,} rows written since its last ANALYZE, of {table.live:,}"


def _fine(table: Table) -> str:
    if table.bytes == 0:
        return "empty"
    return (
        f"{table.dead:,} dead rows of {table.live + table.dead:,}, {table.changed:,} written since ANALYZE, "
        f"{table.age_share:.0%} of the age at which autovacuum must freeze it"
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0

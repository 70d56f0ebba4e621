"""Which tables VACUUM is for in this run, in which order, and why the others are left alone.

The oldest first: a table on its way to autovacuum's emergency cannot wait. Then where most is dead, then
where the planner's statistics are stale.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from ops_pipeline.maintenance.vacuum.policy import Vacuum
from ops_pipeline.maintenance.vacuum.tables import Table, TableState

VacuumAction = Literal["freeze", "vacuum", "analyze", "skip"]

AGE_SHARE = 0.5
"""Of autovacuum_freeze_max_age (200 million transactions unless set otherwise): there a table is frozen
at night, in one go, before autovacuum must come by day and cannot be put off."""
DEAD_SHARE = 0.05
"""Of a table's row versions; autovacuum waits for a fifth."""
LEAST_DEAD = 20
"""So few are not worth the visit, whatever their share."""
MANY_DEAD = 100_000
"""So many are, whatever their share."""
CHANGED_SHARE = 0.05
"""Of a table's rows, written since its last ANALYZE; autovacuum waits for a tenth."""
LEAST_CHANGED = 50
ONE_ANALYZE = timedelta(hours=1)
"""How long the ANALYZE of a partitioned table may be busy with its partitions."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What is to be done with a table, and why. `analyze`: its statistics are renewed as well."""

    table: Table
    action: VacuumAction
    reason: str
    analyze: bool = False


def choose(tables: Sequence[Table], policy: Vacuum) -> list[Choice]:
    """A choice for each table: those to work on first, in their order, then those left alone."""
    renewed = {table.oid for table in tables if _root_is_stale(table, tables, policy)}
    ranked = sorted(
        (_rank(table, policy, renewed) for table in tables),
        key=lambda ranked: (ranked[0], str(ranked[1].table)),
    )
    return [choice for _, choice in ranked]


def has_many_dead(table: Table | TableState) -> bool:
    """Whether so many of its row versions, or of its TOAST table's, are dead that VACUUM is due."""
    return _many_dead(table.live, table.dead) or _many_dead(table.toast_live, table.toast_dead)


def _many_dead(live: int, dead: int) -> bool:
    return dead >= MANY_DEAD or (dead >= LEAST_DEAD and dead >= DEAD_SHARE * (live + dead))


Rank = tuple[int, float]
LAST: Rank = (9, 0)


def _rank(table: Table, policy: Vacuum, renewed: set[int]) -> tuple[Rank, Choice]:
    if table.system and not table.allowed:
        return LAST, Choice(table, "skip", "it is PostgreSQL's own, and this user may not vacuum it")
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
        reason = "nothing is known about it: it is new, or the server's statistics were lost"
        return (2, -table.bytes), Choice(table, "vacuum", reason, analyze)
    if policy.mode == "always":
        return (4, 0), Choice(table, "vacuum", "the policy says everything", analyze)
    if analyze and _stale(table):
        return (3, -table.changed), Choice(table, "analyze", _changes(table), analyze=True)
    return LAST, Choice(table, "skip", _fine(table))


def _rank_parent(table: Table, policy: Vacuum, renewed: set[int]) -> tuple[Rank, Choice]:
    if table.oid not in renewed:
        return LAST, Choice(table, "skip", "its partitions hold its rows, and its statistics are fresh")
    reason = "the policy says everything" if policy.mode == "always" else "its partitions have changed"
    return (5, 0), Choice(table, "analyze", reason, analyze=True)


def _root_is_stale(table: Table, tables: Iterable[Table], policy: Vacuum) -> bool:
    """Whether a partitioned table needs ANALYZE, which renews its partitions' statistics as well.

    Autovacuum never does it. What a partition counts begins anew with its own ANALYZE, so one that was
    analyzed later than its root's own ANALYZE could have got to it counts as changed altogether.
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
    """How far past due it is: 1 is just due."""
    return max(
        table.dead / MANY_DEAD,
        table.toast_dead / MANY_DEAD,
        _share(table.dead, table.live + table.dead) / DEAD_SHARE,
        _share(table.toast_dead, table.toast_live + table.toast_dead) / DEAD_SHARE,
    )


def _stale(table: Table) -> bool:
    return table.changed >= max(LEAST_CHANGED, CHANGED_SHARE * table.live)


def _unknown(table: Table) -> bool:
    """Rows, but no statistics: they are lost in a crash, and autovacuum forgets what it was about to do."""
    counted = (table.live, table.dead, table.changed, table.vacuumed, table.analyzed)
    return table.bytes > 0 and not table.system and not any(counted)


def _age(table: Table) -> str:
    if table.age / table.age_limit >= table.multixact_age / table.multixact_limit:
        return f"{table.age:,} transactions old, autovacuum must come at {table.age_limit:,}"
    return f"{table.multixact_age:,} multixacts old, autovacuum must come at {table.multixact_limit:,}"


def _dead(table: Table) -> str:
    if _many_dead(table.live, table.dead):
        share = _share(table.dead, table.live + table.dead)
        return f"{table.dead:,} dead rows, {share:.0%} of it"
    share = _share(table.toast_dead, table.toast_live + table.toast_dead)
    return f"{table.toast_dead:,} dead rows in its TOAST table, {share:.0%} of that"


def _changes(table: Table) -> str:
    return f"{table.changed:,} rows written since its statistics were made, of {table.live:,}"


def _fine(table: Table) -> str:
    if table.bytes == 0:
        return "empty"
    return (
        f"{table.dead:,} dead rows of {table.live + table.dead:,}, {table.changed:,} written since ANALYZE, "
        f"{table.age_share:.0%} of the age at which autovacuum must come"
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0

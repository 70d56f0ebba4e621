"""Plans a vacuum policy: what VACUUM would do now, table by table. Reads only."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ops_pipeline.counted import counted
from ops_pipeline.maintenance.plan import Cells, Method, Plan, Planning
from ops_pipeline.maintenance.vacuum import priorities, rebuild
from ops_pipeline.maintenance.vacuum.advice import find_advice
from ops_pipeline.maintenance.vacuum.bloat import Bloat, BloatReport, find_bloat
from ops_pipeline.maintenance.vacuum.invalid_indexes import find_leftovers
from ops_pipeline.maintenance.vacuum.policy import Reindex, Vacuum
from ops_pipeline.maintenance.vacuum.tables import Table, policy_tables
from ops_pipeline.postgres.connection import Connection

BLOATED = 0.2
"""From this share on, bloat is reported."""


@dataclass(frozen=True, slots=True)
class PlannedTable:
    """One table: freeze, vacuum, analyze or skip, and why. `bloat`: of the table without its TOAST table,
    `index_bloat`: of its B-trees together; None where unknown."""

    table: str
    action: priorities.VacuumAction
    reason: str
    bloat: Bloat | None = None
    index_bloat: Bloat | None = None


@dataclass(frozen=True, slots=True)
class PlannedIndex:
    """A bloated B-tree, or an invalid index that an interrupted rebuild left: rebuild, drop or leave it, and
    why."""

    index: str
    table: str
    action: Literal["rebuild", "drop", "leave"]
    reason: str
    bloat: Bloat | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VacuumPlan(Plan):
    """What VACUUM would do with each table, in the order of the run, and which tables it would skip.

    `live_tuples`: the live row versions of all tables. `indexes`: the bloated ones, and invalid ones that an
    interrupted rebuild left.
    """

    live_tuples: int
    planned_tables: tuple[PlannedTable, ...]
    indexes: tuple[PlannedIndex, ...]

    def would(self) -> str:
        counts = _counts(table.action for table in self.planned_tables)
        return (
            f"would {' and '.join(counts) or 'VACUUM none'} of {counted(len(self.planned_tables), 'table')}"
        )

    def explanations(self) -> Iterator[str]:
        for table in self.planned_tables:
            if table.action != "skip":
                yield f"{table.action} {table.table}: {table.reason}{_noteworthy_bloat(table)}"
        yield from (f"{index.action} {index.index}: {index.reason}" for index in self.indexes)

    def skips(self) -> Iterator[str]:
        skipped: dict[str, list[str]] = {}
        for table in self.planned_tables:
            if table.action == "skip":
                system = table.table.startswith(("pg_catalog.", "information_schema."))
                reason = "system catalog that does not need it" if system else table.reason
                skipped.setdefault(reason, []).append(f"{table.table}{_noteworthy_bloat(table)}")
        yield from (f"skip ({reason}): {', '.join(tables)}" for reason, tables in skipped.items())

    def tables(self) -> Mapping[str, Sequence[Cells]]:
        tables: Sequence[Cells] = [
            {
                "table": table.table,
                "action": table.action,
                "reason": table.reason,
                "bloat": str(table.bloat or ""),
                "index_bloat": str(table.index_bloat or ""),
            }
            for table in self.planned_tables
        ]
        indexes: Sequence[Cells] = [
            {"index": index.index, "action": index.action, "reason": index.reason} for index in self.indexes
        ]
        return {"tables": tables, "indexes": indexes}


def plan_vacuum(planning: Planning, policy: Vacuum) -> VacuumPlan:
    """What the policy would do if it ran now, from one snapshot. Raises psycopg.Error."""
    with planning.snapshot() as connection:
        return _plan(connection, policy)


def _plan(connection: Connection, policy: Vacuum) -> VacuumPlan:
    tables = policy_tables(connection, policy)
    chosen = priorities.choose(tables, policy)
    advised, _ = find_advice(connection, policy, tables)
    bloated = find_bloat(connection, tables, corrections=rebuild.corrections(connection, policy.name))
    return VacuumPlan(
        policy=policy.name,
        observe=policy.observe,
        method=Method(_method(chosen)),
        live_tuples=sum(choice.table.live for choice in chosen),
        dead_tuples=sum(choice.table.dead + choice.table.toast_dead for choice in chosen),
        planned_tables=tuple(_planned(choice, bloated) for choice in chosen),
        indexes=(*_leftovers(connection, tables, policy), *_bloated(connection, bloated, policy)),
        advice=tuple(f"{advice.table}: {advice.reason}: {advice.statement}" for advice in advised),
    )


def _planned(choice: priorities.Choice, bloated: BloatReport) -> PlannedTable:
    oid = choice.table.oid
    of_table, of_indexes = bloated.tables.get(oid), bloated.of_indexes(oid)
    return PlannedTable(str(choice.table), choice.action, choice.reason, of_table, of_indexes)


def _noteworthy_bloat(table: PlannedTable) -> str:
    named = {"": table.bloat, "of its B-trees ": table.index_bloat}
    said = [f"{which}{bloat}" for which, bloat in named.items() if bloat and bloat.share >= BLOATED]
    return f" ({'; '.join(said)})" if said else ""


def _leftovers(connection: Connection, tables: Sequence[Table], policy: Vacuum) -> Iterator[PlannedIndex]:
    for leftover in find_leftovers(connection, [table.oid for table in tables]):
        action: Literal["drop", "leave"] = "leave"
        if leftover.kept_because is not None:
            reason = leftover.kept_because
        elif policy.reindex is None:
            statement = leftover.statement(connection)
            reason = f"{leftover.reason}. The policy has no `reindex`, so drop it yourself: {statement}"
        else:
            action, reason = "drop", leftover.reason
        yield PlannedIndex(str(leftover.index), str(leftover.table), action, reason)


def _bloated(connection: Connection, report: BloatReport, policy: Vacuum) -> Iterator[PlannedIndex]:
    for btree in rebuild.past_threshold(report.btrees, policy.reindex or USUAL):
        action: Literal["rebuild", "leave"] = "rebuild"
        needed, free = rebuild.room(connection, btree)
        disk = "free space unknown" if free is None else f"{free / 1e6:,.0f} MB are free"
        reason = f"{btree.bloat}; the rebuild may need {needed / 1e6:,.0f} MB of disk, {disk}"
        if policy.reindex is None:
            action, reason = "leave", f"{btree.bloat}; the policy has no `reindex`"
        yield PlannedIndex(str(btree.index), str(btree.table), action, reason, btree.bloat)


USUAL = Reindex(min_bloat=0.5, min_size=100_000_000)
"""From this bloat and size on, the plan of a policy without `reindex` reports an index."""


def _method(chosen: Sequence[priorities.Choice]) -> str:
    counts = _counts(choice.action for choice in chosen)
    return f"{', '.join(counts) or 'nothing'}; {counted(len(chosen), 'table')}"


def _counts(actions: Iterable[priorities.VacuumAction]) -> list[str]:
    """`VACUUM 3`, `ANALYZE 1`: how many tables, by what is done."""
    counts = Counter(actions)
    names: dict[priorities.VacuumAction, str] = {
        "freeze": "VACUUM (FREEZE)",
        "vacuum": "VACUUM",
        "analyze": "ANALYZE",
    }
    return [f"{name} {counts[action]}" for action, name in names.items() if counts[action]]

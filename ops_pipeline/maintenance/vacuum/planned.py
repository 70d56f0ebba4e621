"""What VACUUM would do now, table by table. Reads only."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from ops_pipeline import policy
from ops_pipeline.database import Connection
from ops_pipeline.maintenance.vacuum import advice, bloat, choose, leftovers, rebuild, tables
from ops_pipeline.maintenance.vacuum.bloat import Bloat
from ops_pipeline.maintenance.vacuum.tables import Table


@dataclass(frozen=True, slots=True)
class PlannedTable:
    """One table: freeze, vacuum, analyze or skip, and why. `bloat`: of the table without its TOAST table,
    `index_bloat`: of its B-trees together; None where nothing tells."""

    table: str
    action: choose.Action
    reason: str
    bloat: Bloat | None = None
    index_bloat: Bloat | None = None


@dataclass(frozen=True, slots=True)
class PlannedIndex:
    """A B-tree past the threshold, or what an interrupted rebuild has left: rebuild, drop or leave it, and
    why."""

    index: str
    table: str
    action: Literal["rebuild", "drop", "leave"]
    reason: str
    bloat: Bloat | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """All tables of a policy in the order of a night, with the row versions they hold, the indexes of which
    there is something to say, and advice on autovacuum."""

    method: str
    live: int
    dead: int
    tables: tuple[PlannedTable, ...]
    indexes: tuple[PlannedIndex, ...]
    advice: tuple[str, ...]


def plan_tables(connection: Connection, rule: policy.Vacuum) -> Plan:
    """What the policy would do if it ran now."""
    found = tables.find(connection, rule)
    chosen = choose.choose(found, rule)
    advised, _ = advice.find(connection, rule, found)
    bloated = bloat.find(connection, found, corrections=rebuild.corrections(connection, rule.name))
    return Plan(
        _method(chosen),
        live=sum(choice.table.live for choice in chosen),
        dead=sum(choice.table.dead + choice.table.toast_dead for choice in chosen),
        tables=tuple(_planned(each, bloated) for each in chosen),
        indexes=(*_leftovers(connection, found, rule), *_bloated(connection, bloated, rule)),
        advice=tuple(f"{each.table}: {each.reason}: {each.statement}" for each in advised),
    )


def _planned(choice: choose.Choice, bloated: bloat.Found) -> PlannedTable:
    oid = choice.table.oid
    of_table, of_indexes = bloated.tables.get(oid), bloated.of_indexes(oid)
    return PlannedTable(str(choice.table), choice.action, choice.reason, of_table, of_indexes)


def _leftovers(connection: Connection, found: Sequence[Table], rule: policy.Vacuum) -> Iterator[PlannedIndex]:
    for each in leftovers.find(connection, [table.oid for table in found]):
        action: Literal["drop", "leave"] = "leave"
        if each.kept_because is not None:
            reason = each.kept_because
        elif rule.reindex is None:
            reason = (
                f"{each.reason}; the policy does not say reindex, so drop it: {each.statement(connection)}"
            )
        else:
            action, reason = "drop", each.reason
        yield PlannedIndex(str(each.index), str(each.table), action, reason)


def _bloated(connection: Connection, found: bloat.Found, rule: policy.Vacuum) -> Iterator[PlannedIndex]:
    for each in rebuild.due(found.btrees, rule.reindex or USUAL):
        needed, free = rebuild.room(connection, each)
        disk = "not seen from here" if free is None else f"{free / 1e6:,.0f} MB are free"
        reason = f"{each.bloat}; that may need {needed / 1e6:,.0f} MB of disk meanwhile, {disk}"
        if rule.reindex is None:
            reason = f"{each.bloat}; the policy does not say reindex"
        action: Literal["rebuild", "leave"] = "rebuild" if rule.reindex else "leave"
        yield PlannedIndex(str(each.index), str(each.table), action, reason, each.bloat)


USUAL = policy.Reindex(bloat=0.5, min_size=100_000_000)
"""From here on a policy without `reindex` is told of an index."""


def _method(chosen: Sequence[choose.Choice]) -> str:
    counts = Counter(choice.action for choice in chosen)
    names: dict[choose.Action, str] = {
        "freeze": "VACUUM (FREEZE)",
        "vacuum": "VACUUM",
        "analyze": "ANALYZE",
    }
    parts = [f"{name} {counts[action]}" for action, name in names.items() if counts[action]]
    return f"{', '.join(parts) or 'nothing'}; {len(chosen)} tables"

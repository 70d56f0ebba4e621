"""What VACUUM would do now, table by table. Reads only."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ops_pipeline import policy
from ops_pipeline.database import Connection
from ops_pipeline.maintenance.vacuum import bloat, choose, tables
from ops_pipeline.maintenance.vacuum.bloat import Bloat


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
class Plan:
    """All tables of a policy in the order of a night, with the row versions they hold."""

    method: str
    live: int
    dead: int
    tables: tuple[PlannedTable, ...]


def plan_tables(connection: Connection, rule: policy.Vacuum) -> Plan:
    """What the policy would do if it ran now."""
    found = tables.find(connection, rule)
    chosen = choose.choose(found, rule)
    bloated = bloat.find(connection, found)
    return Plan(
        _method(chosen),
        live=sum(choice.table.live for choice in chosen),
        dead=sum(choice.table.dead + choice.table.toast_dead for choice in chosen),
        tables=tuple(_planned(each, bloated) for each in chosen),
    )


def _planned(choice: choose.Choice, bloated: bloat.Found) -> PlannedTable:
    oid = choice.table.oid
    of_table, of_indexes = bloated.tables.get(oid), bloated.of_indexes(oid)
    return PlannedTable(str(choice.table), choice.action, choice.reason, of_table, of_indexes)


def _method(chosen: Sequence[choose.Choice]) -> str:
    counts = Counter(choice.action for choice in chosen)
    names: dict[choose.Action, str] = {
        "freeze": "VACUUM (FREEZE)",
        "vacuum": "VACUUM",
        "analyze": "ANALYZE",
    }
    parts = [f"{name} {counts[action]}" for action, name in names.items() if counts[action]]
    return f"{', '.join(parts) or 'nothing'}; {len(chosen)} tables"

"""What VACUUM would do now, table by table. Reads only."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ops_pipeline import policy
from ops_pipeline.database import Connection
from ops_pipeline.maintenance.vacuum import choose, tables


@dataclass(frozen=True, slots=True)
class PlannedTable:
    """One table: freeze, vacuum, analyze or skip, and why."""

    table: str
    action: choose.Action
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """All tables of a policy in the order of a night, with the row versions they hold."""

    method: str
    live: int
    dead: int
    tables: tuple[PlannedTable, ...]


def plan_tables(connection: Connection, rule: policy.Vacuum) -> Plan:
    """What the policy would do if it ran now."""
    chosen = choose.choose(tables.find(connection, rule), rule)
    return Plan(
        _method(chosen),
        live=sum(choice.table.live for choice in chosen),
        dead=sum(choice.table.dead + choice.table.toast_dead for choice in chosen),
        tables=tuple(PlannedTable(str(each.table), each.action, each.reason) for each in chosen),
    )


def _method(chosen: Sequence[choose.Choice]) -> str:
    counts = Counter(choice.action for choice in chosen)
    names: dict[choose.Action, str] = {
        "freeze": "VACUUM (FREEZE)",
        "vacuum": "VACUUM",
        "analyze": "ANALYZE",
    }
    parts = [f"{name} {counts[action]}" for action, name in names.items() if counts[action]]
    return f"{', '.join(parts) or 'nothing'}; {len(chosen)} tables"

"""What an application's rules and triggers do to a DELETE from its table."""

from dataclasses import dataclass

import sql
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.relation import Relation


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule ON DELETE of `table`. `instead`: the rows that it applies to are not deleted."""

    name: str
    table: Relation
    instead: bool


@dataclass(frozen=True, slots=True)
class Trigger:
    """A BEFORE DELETE row trigger of `table`: its `function` may return NULL, which keeps the row."""

    name: str
    table: Relation
    function: str

    def __str__(self) -> str:
        return f"{self.name} on {self.table} (function {self.function})"


def rules(connection: Connection, table: Relation) -> list[Rule]:
    """The rules that a DELETE from the table, or from a partition of it, would follow."""
    rows = connection.execute(sql.get("postgres/rules_on_delete"), {"oid": table.oid})
    return [Rule(name, Relation(*of), instead) for name, instead, *of in rows]


def row_triggers(connection: Connection, table: Relation) -> list[Trigger]:
    """The triggers that may keep rows of the table, or of a partition of it, from being deleted."""
    rows = connection.execute(sql.get("postgres/triggers_before_delete"), {"oid": table.oid})
    return [Trigger(name, Relation(*of), function) for name, function, *of in rows]

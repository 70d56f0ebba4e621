"""What an application's rules and triggers do to a DELETE from its table."""

from dataclasses import dataclass

import sql
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.relation import Relation


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule ON DELETE of `table`. It may keep rows, and delete others that nobody has counted."""

    name: str
    table: Relation


@dataclass(frozen=True, slots=True)
class Trigger:
    """A trigger of `table` that is not disabled, and the function that it calls."""

    name: str
    table: Relation
    function: str

    def __str__(self) -> str:
        return f"{self.name} on {self.table} (function {self.function})"


def rules(connection: Connection, table: Relation) -> list[Rule]:
    """The rules that a DELETE from the table, or from a partition of it, would follow."""
    rows = connection.execute(sql.get("postgres/rules_on_delete"), {"oid": table.oid})
    return [Rule(name, Relation(*of)) for name, *of in rows]


def triggers(connection: Connection, table: Relation) -> list[Trigger]:
    """All triggers that a DELETE from the table, or from a partition of it, fires; ours are left out."""
    return _triggers(connection, "postgres/triggers_on_delete", table)


def keeping_triggers(connection: Connection, table: Relation, *, on_update: bool) -> list[Trigger]:
    """The row triggers before DELETE, or before UPDATE, whose function may return NULL, which voids it.

    Of a PL/pgSQL function its text tells; of one in another language it is not known.
    """
    event = "update" if on_update else "delete"
    return _triggers(connection, f"postgres/triggers_keeping_{event}", table)


def row_triggers(connection: Connection, table: Relation) -> list[Trigger]:
    """The triggers that run for each row deleted from the table, or from a partition of it; without ours."""
    return _triggers(connection, "postgres/row_triggers_on_delete", table)


def _triggers(connection: Connection, statement: str, table: Relation) -> list[Trigger]:
    rows = connection.execute(sql.get(statement), {"oid": table.oid})
    return [Trigger(name, Relation(*of), function) for name, function, *of in rows]

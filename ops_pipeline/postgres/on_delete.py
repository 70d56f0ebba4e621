"""What an application's rules and triggers do to a DELETE from its table."""

from dataclasses import dataclass

import sql
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.relation import Relation

ROW, BEFORE, DELETE, UPDATE = 1, 2, 8, 16
"""Bits of pg_trigger.tgtype, as PostgreSQL's pg_trigger.h has them."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule ON DELETE of `table`. It may keep rows, and delete others that nobody has counted."""

    name: str
    table: Relation


@dataclass(frozen=True, slots=True)
class Trigger:
    """A trigger of `table` that is not disabled, and the function that it calls.

    `may_return_null`: of a PL/pgSQL function its text tells; one in another language may.
    """

    name: str
    table: Relation
    function: str
    may_return_null: bool

    def __str__(self) -> str:
        return f"{self.name} on {self.table} (function {self.function})"


def rules(connection: Connection, table: Relation) -> list[Rule]:
    """The rules that a DELETE from the table, or from a partition of it, would follow."""
    rows = connection.execute(sql.get("postgres/rules_on_delete"), {"oid": table.oid})
    return [Rule(name, Relation(*of)) for name, *of in rows]


def triggers(connection: Connection, table: Relation) -> list[Trigger]:
    """All triggers that a DELETE from the table, or from a partition of it, fires; ours are left out."""
    return _triggers(connection, table, DELETE)


def row_triggers(connection: Connection, table: Relation) -> list[Trigger]:
    """Those of `triggers` that run for each row."""
    return _triggers(connection, table, DELETE | ROW)


def keeping_triggers(connection: Connection, table: Relation, *, on_update: bool) -> list[Trigger]:
    """The row triggers before DELETE, or before UPDATE, whose function may return NULL, which voids it."""
    before = _triggers(connection, table, ROW | BEFORE | (UPDATE if on_update else DELETE))
    return [trigger for trigger in before if trigger.may_return_null]


def _triggers(connection: Connection, table: Relation, bits: int) -> list[Trigger]:
    rows = connection.execute(sql.get("postgres/triggers"), {"oid": table.oid, "bits": bits})
    return [Trigger(name, Relation(*of), function, null) for name, function, null, *of in rows]

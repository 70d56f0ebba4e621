"""Finds the rules and triggers of the application that a DELETE from its table runs."""

from dataclasses import dataclass

import sql
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.relation import Relation

ROW, BEFORE, DELETE, UPDATE = 1, 2, 8, 16
"""Bits of pg_trigger.tgtype, from PostgreSQL's pg_trigger.h."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule ON DELETE of `table`. It may keep rows, and delete others that were not counted."""

    name: str
    table: Relation


@dataclass(frozen=True, slots=True)
class Trigger:
    """An enabled trigger of `table`, and its function.

    `may_return_null`: for a PL/pgSQL function, from its source text; true for other languages.
    """

    name: str
    table: Relation
    function: str
    may_return_null: bool

    def __str__(self) -> str:
        return f"{self.name} on {self.table} (function {self.function})"


def rules(connection: Connection, table: Relation) -> list[Rule]:
    """The rules of a DELETE from the table or a partition of it."""
    rows = connection.execute(sql.get("postgres/rules_on_delete"), {"oid": table.oid})
    return [Rule(name, Relation(*of)) for name, *of in rows]


def triggers(connection: Connection, table: Relation) -> list[Trigger]:
    """All triggers that a DELETE from the table or a partition of it fires, except ours."""
    return _triggers(connection, table, DELETE)


def row_triggers(connection: Connection, table: Relation) -> list[Trigger]:
    """The row-level ones of `triggers`."""
    return _triggers(connection, table, DELETE | ROW)


def keeping_triggers(connection: Connection, table: Relation, *, on_update: bool) -> list[Trigger]:
    """The row-level BEFORE DELETE (or UPDATE) triggers whose function may return NULL, which skips the
    row."""
    before = _triggers(connection, table, ROW | BEFORE | (UPDATE if on_update else DELETE))
    return [trigger for trigger in before if trigger.may_return_null]


def _triggers(connection: Connection, table: Relation, bits: int) -> list[Trigger]:
    rows = connection.execute(sql.get("postgres/triggers"), {"oid": table.oid, "bits": bits})
    return [Trigger(name, Relation(*of), function, null) for name, function, null, *of in rows]

"""What a batch deletes or changes in other tables (cascades, triggers), counted in the same transaction."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sql
from ops_pipeline.counted import counted
from ops_pipeline.maintenance.history import Record, Statement
from ops_pipeline.maintenance.reach import protected, reach, root
from ops_pipeline.policies.model import DeletingPolicy
from ops_pipeline.postgres import on_delete
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.relation import Relation

Ask = Callable[[Statement], Sequence[tuple[Any, ...]]]
"""Runs a statement in the batch's transaction and returns its rows."""


class UnplannedDeletionError(Exception):
    """A batch would also have deleted rows that the policy may not delete. It was rolled back."""


@dataclass(frozen=True, slots=True)
class OtherTableRows:
    """How many rows of one other table a batch has deleted and changed."""

    table: Relation
    deleted: int
    changed: int

    def statement(self, record: Record) -> Statement:
        """The statement that adds them to the run."""
        values = {
            "run": record.id, "table": self.table.oid, "schema": self.table.schema, "name": self.table.name,
            "deleted": self.deleted, "changed": self.changed,
        }  # fmt: skip
        return sql.get("maintenance/batches/actions/record_cascaded"), values


@dataclass(frozen=True, slots=True)
class CascadeCounter:
    """Counts what deletes from a policy's table do to other tables, by foreign keys and by triggers.

    `own`: the oid of that table's root. `heaps`: the oids of the heaps to watch; None: all, because a
    trigger may change any. `protected`: by the oid of a table's root, why none of its rows may be deleted.
    """

    own: int
    heaps: tuple[int, ...] | None
    protected: Mapping[int, str]

    def counts(self, ask: Ask) -> Mapping[Relation, tuple[int, int]]:
        """Rows deleted and changed so far, by table."""
        if self.heaps == ():
            return {}
        heaps = None if self.heaps is None else list(self.heaps)
        rows = ask((sql.get("maintenance/batches/actions/deleted_by_cascade"), {"tables": heaps}))
        return {Relation(*table): (deleted, changed) for *table, deleted, changed in rows}

    def since(
        self,
        before: Mapping[Relation, tuple[int, int]],
        ask: Ask,
        removed: int,
        archived: Mapping[int, int] | None = None,
    ) -> list[OtherTableRows]:
        """What the batch did besides the rows of its own table that it has `removed`.

        `archived`: how many child rows of each root were archived first; None where children are not
        archived. Raises UnplannedDeletionError where a protected row was deleted, or one that was not
        archived.
        """
        others = []
        for table, (deleted, changed) in self.counts(ask).items():
            deleted_before, changed_before = before.get(table, (0, 0))
            of_own = removed if table.oid == self.own else 0
            deleted -= deleted_before + of_own  # noqa: PLW2901 - what remains was deleted by cascade
            self._check(table, deleted, archived)
            if deleted or changed > changed_before:
                others.append(OtherTableRows(table, deleted, changed - changed_before))
        return others

    def _check(self, table: Relation, deleted: int, archived: Mapping[int, int] | None) -> None:
        if deleted > 0 and table.oid in self.protected:
            raise UnplannedDeletionError(
                f"the batch would also have deleted {counted(deleted, 'row')} of {table}, which the plan did "
                f"not count: {self.protected[table.oid]}. The batch was rolled back. If a foreign key "
                "deletes them, `opsctl plan` now says what to do; if a trigger does, change it, or set "
                "`cascade: delete` in the policy"
            )
        in_files = 0 if archived is None else archived.get(table.oid, 0)
        if archived is not None and deleted != in_files and table.oid in archived:
            raise UnplannedDeletionError(
                f"the batch would also have deleted {counted(deleted, 'row')} of {table}, but {in_files:,} "
                f"{'was' if in_files == 1 else 'were'} archived. The batch was rolled back. Check whether a "
                "trigger deletes or keeps some of them"
            )


def cascade_counter(connection: Connection, policy: DeletingPolicy, table: Relation) -> CascadeCounter:
    """What to watch while rows of the table are deleted. Raises psycopg.Error."""
    reached = reach(connection, table)
    tables = {*reached.cascaded, *reached.cleared}
    by_triggers = any(on_delete.triggers(connection, each) for each in (table, *tables))
    own = root(connection, table)
    reasons = protected(connection, policy, reached)
    return CascadeCounter(
        own,
        None if by_triggers else _heaps(connection, [*tables, table] if tables else []),
        {of: reason for of, reason in reasons.items() if of != own},
    )


def _heaps(connection: Connection, tables: Sequence[Relation]) -> tuple[int, ...]:
    values = {"tables": [table.oid for table in tables]}
    return tuple(oid for (oid,) in connection.execute(sql.get("maintenance/heaps_of"), values))

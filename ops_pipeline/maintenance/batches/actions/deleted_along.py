"""What a batch deletes and changes in other tables: counted by the server, in the batch's own transaction."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sql
from ops_pipeline.maintenance.history import Record, Statement
from ops_pipeline.maintenance.reach import protected, reach, root
from ops_pipeline.policies.model import DeletingPolicy
from ops_pipeline.postgres import on_delete
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.relation import Relation

Ask = Callable[[Statement], Sequence[tuple[Any, ...]]]
"""Answers a statement in the batch's transaction."""


class UnplannedDeletionError(Exception):
    """A batch would have deleted rows along that the policy may not delete. It was rolled back."""


@dataclass(frozen=True, slots=True)
class Along:
    """Rows of one table that a batch has deleted and changed."""

    table: Relation
    deleted: int
    changed: int

    def statement(self, record: Record) -> Statement:
        """What adds them to the run."""
        values = {
            "run": record.id, "table": self.table.oid, "schema": self.table.schema, "name": self.table.name,
            "deleted": self.deleted, "changed": self.changed,
        }  # fmt: skip
        return sql.get("maintenance/batches/actions/record_along"), values


@dataclass(frozen=True, slots=True)
class DeletedAlong:
    """Watches what deletes from a policy's table do to others, by foreign keys and by triggers.

    `own`: the oid of that table's root. `heaps`: of the tables to watch; None: all, because a trigger may
    change any. `protected`: by a table's root, why none of its rows may be deleted.
    """

    own: int
    heaps: tuple[int, ...] | None
    protected: Mapping[int, str]

    def counts(self, ask: Ask) -> Mapping[Relation, tuple[int, int]]:
        """Rows deleted and changed so far, by table."""
        if self.heaps == ():
            return {}
        heaps = None if self.heaps is None else list(self.heaps)
        rows = ask((sql.get("maintenance/batches/actions/deleted_along"), {"tables": heaps}))
        return {Relation(*table): (deleted, changed) for *table, deleted, changed in rows}

    def since(
        self,
        before: Mapping[Relation, tuple[int, int]],
        ask: Ask,
        removed: int,
        archived: Mapping[int, int] | None = None,
    ) -> list[Along]:
        """What the batch did beyond the rows of its own table that it has `removed`.

        `archived`: how many rows of each root were archived first, where children are. Raises
        UnplannedDeletionError where a protected row was deleted, or one that is in no file.
        """
        along = []
        for table, (deleted, changed) in self.counts(ask).items():
            deleted_before, changed_before = before.get(table, (0, 0))
            of_own = removed if table.oid == self.own else 0
            deleted -= deleted_before + of_own  # noqa: PLW2901 - what remains is what came along
            self._check(table, deleted, archived)
            if deleted or changed > changed_before:
                along.append(Along(table, deleted, changed - changed_before))
        return along

    def _check(self, table: Relation, deleted: int, archived: Mapping[int, int] | None) -> None:
        if deleted > 0 and table.oid in self.protected:
            raise UnplannedDeletionError(
                f"{deleted:,} rows of {table} would have been deleted along, which the plan did not count, "
                f"and {self.protected[table.oid]}. The batch was rolled back. If a foreign key leads there, "
                "`opsctl plan` says now what to do; if a trigger deletes them, change it, or say "
                "`cascade: delete` in the policy"
            )
        in_files = 0 if archived is None else archived.get(table.oid, 0)
        if archived is not None and deleted != in_files and table.oid in archived:
            raise UnplannedDeletionError(
                f"{deleted:,} rows of {table} would have been deleted along, but {in_files:,} are archived. "
                "The batch was rolled back; a trigger may delete or keep some of them"
            )


def deleted_along(connection: Connection, policy: DeletingPolicy, table: Relation) -> DeletedAlong:
    """What to watch while rows of the table are deleted. Raises psycopg.Error."""
    reached = reach(connection, table)
    tables = {*reached.cascaded, *reached.cleared}
    by_triggers = any(on_delete.triggers(connection, each) for each in (table, *tables))
    own = root(connection, table)
    reasons = protected(connection, policy, reached)
    return DeletedAlong(
        own,
        None if by_triggers else _heaps(connection, [*tables, table] if tables else []),
        {of: reason for of, reason in reasons.items() if of != own},
    )


def _heaps(connection: Connection, tables: Sequence[Relation]) -> tuple[int, ...]:
    values = {"tables": [table.oid for table in tables]}
    return tuple(oid for (oid,) in connection.execute(sql.get("maintenance/heaps_of"), values))

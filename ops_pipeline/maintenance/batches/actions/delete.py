"""The action that deletes rows without archiving them."""

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql as compose

import sql
from ops_pipeline.maintenance.batches import actions
from ops_pipeline.maintenance.batches.actions import BatchLimits
from ops_pipeline.maintenance.batches.actions.deleted_by_cascade import CascadeCounter
from ops_pipeline.maintenance.batches.scans import ScanRange
from ops_pipeline.maintenance.circled_holds import KnownHolds
from ops_pipeline.maintenance.history import Batch, Record, Statement
from ops_pipeline.postgres.connection import Connection, row
from ops_pipeline.postgres.relation import Relation


@dataclass(frozen=True, slots=True)
class Delete:
    """Deletes rows of `table`; a row takes about `row_bytes`. `planned`: the holds that the plan knew.

    Its commits do not wait for the disk (synchronous_commit = off): if the server crashes then, the
    rows exist again, and so does the position that was reached before them.
    """

    connection: Connection
    record: Record
    table: Relation
    counter: CascadeCounter
    planned: KnownHolds
    row_bytes: float = 0.0

    def remove(self, scan_range: ScanRange, limits: BatchLimits) -> int:
        """Deletes the deletable rows of the range, commits, and returns how many they were.

        Raises UnplannedDeletionError; nothing of the range was deleted then.
        """
        name = "delete_unlocked" if limits.skip_locked else "delete"
        with self.connection.transaction():
            *_, wal = row(self.connection, *actions.limit_statement(limits, synchronous_commit=False))
            statement = compose.SQL(sql.get(f"maintenance/batches/actions/{name}")).format(
                heap=scan_range.heap.identifier,
                condition=actions.deletable(self.connection, self.table, scan_range, self.planned),
            )
            before = self.counter.counts(self._ask)
            # A trigger that keeps every row may have changed it instead; without this, in every run.
            with self.connection.transaction() as deletion:
                removed = self.connection.execute(statement).rowcount
                # Deferred constraints and triggers run now rather than at commit, so their effect is seen.
                self.connection.execute(sql.get("postgres/check_now"))
                if removed == 0:
                    raise psycopg.Rollback(deletion)
            others = self.counter.since(before, self._ask, removed) if removed else []
            batch = Batch(scan_range.scanned, removed, bytes=round(removed * self.row_bytes), wal=wal)
            for statement_and_values in (
                *actions.progress_statements(self.record, batch, scan_range, limits),
                *(rows.statement(self.record) for rows in others),
            ):
                self.connection.execute(*statement_and_values)
        return removed

    def _ask(self, statement: Statement) -> list[tuple[Any, ...]]:
        return self.connection.execute(*statement).fetchall()

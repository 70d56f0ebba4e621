"""Rows deleted, and that is all."""

from dataclasses import dataclass

import psycopg
from psycopg import sql as compose

import sql
from ops_pipeline.maintenance.batches import actions
from ops_pipeline.maintenance.batches.actions import BatchLimits
from ops_pipeline.maintenance.batches.scans import ScanRange
from ops_pipeline.maintenance.history import Batch, Record
from ops_pipeline.postgres.connection import Connection, row
from ops_pipeline.postgres.relation import Relation


@dataclass(frozen=True, slots=True)
class Delete:
    """Deletes the rows of `table`, of which one takes about `row_bytes`.

    Its commits do not wait for the disk: if the server crashes at that moment the rows are there again,
    along with the position that was reached before them.
    """

    connection: Connection
    record: Record
    table: Relation
    row_bytes: float = 0.0

    def remove(self, scan_range: ScanRange, limits: BatchLimits) -> int:
        """Removes the rows of the range that may go, commits, and says how many they were."""
        name = "delete_unlocked" if limits.skip_locked else "delete"
        with self.connection.transaction():
            *_, wal = row(self.connection, *actions.limit_statement(limits, synchronous_commit=False))
            statement = compose.SQL(sql.get(f"maintenance/batches/actions/{name}")).format(
                heap=scan_range.heap.identifier,
                condition=actions.deletable(self.connection, self.table, scan_range),
            )
            # A trigger that keeps each row may have changed it instead, night after night.
            with self.connection.transaction() as deletion:
                removed = self.connection.execute(statement).rowcount
                if removed == 0:
                    raise psycopg.Rollback(deletion)
            batch = Batch(scan_range.examined, removed, bytes=round(removed * self.row_bytes), wal=wal)
            for statement_and_values in actions.progress_statements(self.record, batch, scan_range, limits):
                self.connection.execute(*statement_and_values)
        return removed

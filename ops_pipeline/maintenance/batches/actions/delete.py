"""Rows deleted, and that is all."""

from dataclasses import dataclass

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
    along with the place that was reached before them.
    """

    connection: Connection
    record: Record
    table: Relation
    row_bytes: float = 0.0

    def remove(self, window: ScanRange, terms: BatchLimits) -> int:
        """Removes the window's rows that may go, commits, and says how many they were."""
        with self.connection.transaction():
            *_, wal = row(self.connection, *actions.limits(terms, synchronous_commit=False))
            statement = compose.SQL(
                sql.get(
                    "maintenance/batches/actions/delete_unlocked"
                    if terms.skip_locked
                    else "maintenance/batches/actions/delete"
                )
            ).format(
                heap=window.heap.identifier,
                condition=actions.deletable(self.connection, self.table, window),
            )
            removed = self.connection.execute(statement).rowcount
            batch = Batch(window.examined, removed, bytes=round(removed * self.row_bytes), wal=wal)
            for note in actions.records(self.record, batch, window, terms):
                self.connection.execute(*note)
        return removed

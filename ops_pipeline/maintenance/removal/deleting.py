"""Rows deleted, and that is all."""

from dataclasses import dataclass

from psycopg import sql as compose

import sql
from ops_pipeline.database import Connection, row
from ops_pipeline.maintenance import removal
from ops_pipeline.maintenance.catalog import Relation
from ops_pipeline.maintenance.history import Batch, Record
from ops_pipeline.maintenance.removal import Terms
from ops_pipeline.maintenance.windows import Window


@dataclass(frozen=True, slots=True)
class Deleting:
    """Deletes the rows of `table`, of which one takes about `row_bytes`.

    Its commits do not wait for the disk: if the server crashes at that moment the rows are there again,
    along with the place that was reached before them.
    """

    connection: Connection
    record: Record
    table: Relation
    row_bytes: float = 0.0

    def remove(self, window: Window, terms: Terms) -> int:
        """Removes the window's rows that may go, commits, and says how many they were."""
        with self.connection.transaction():
            *_, wal = row(self.connection, *removal.limits(terms, synchronous_commit=False))
            statement = compose.SQL(
                sql.get("removal/delete_unlocked" if terms.skip_locked else "removal/delete")
            ).format(
                heap=window.heap.identifier,
                condition=removal.free_to_go(self.connection, self.table, window),
            )
            removed = self.connection.execute(statement).rowcount
            batch = Batch(window.examined, removed, bytes=round(removed * self.row_bytes), wal=wal)
            for note in removal.notes(self.record, batch, window, terms):
                self.connection.execute(*note)
        return removed

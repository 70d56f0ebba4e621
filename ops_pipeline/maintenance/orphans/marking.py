"""A window's orphans marked: the parents they miss are listed, and nothing is removed."""

from dataclasses import dataclass
from typing import Any

from psycopg import sql as compose

import sql
from ops_pipeline.database import Connection, row, scalar
from ops_pipeline.maintenance.history import Batch, Record
from ops_pipeline.maintenance.orphans.reference import Reference
from ops_pipeline.maintenance.removal import Terms, limits, notes
from ops_pipeline.maintenance.windows import Window, listed

TARGET_SECONDS = 1.0
"""How long a window should take. Nobody waits behind it, so it may be longer than one that removes."""
WORK_MEM = "64MB"
"""For a hash of the parents where no index serves; PostgreSQL's default would spill at 100,000 of them."""


@dataclass(frozen=True, slots=True)
class Marking:
    """Stands where a remover does. `by_blocks`: keeps as well in which blocks the orphans are."""

    connection: Connection
    record: Record
    reference: Reference
    by_blocks: bool

    def remove(self, window: Window, terms: Terms) -> int:
        """Lists the parents that the window's orphans miss, and says how many orphans that are."""
        with self.connection.transaction():
            *_, wal = row(self.connection, *limits(terms, synchronous_commit=False))
            self.connection.execute(
                sql.get("orphans/planning"),
                {"work_mem": WORK_MEM, "nestloop": "on" if self.by_blocks else "off"},
            )
            marked = int(scalar(self.connection, self._statement(window), self._values(window)))
            for note in notes(self.record, Batch(window.examined, 0, wal=wal), window, terms):
                self.connection.execute(*note)
        return marked

    def arrange(self) -> None:
        """Lists what was found by an index once more, in the order in which the children lie."""
        if self.by_blocks:
            return
        statement = compose.SQL(sql.get("orphans/arrange")).format(
            keys=listed(self.reference.keys),
            arrays=self.reference.unnested,
            child=self.reference.child.identifier,
            same_key=self.reference.same_key,
            gathered=self.reference.gathered,
        )
        with self.connection.transaction():
            self.connection.execute(sql.get("orphans/planning"), {"work_mem": WORK_MEM, "nestloop": "on"})
            self.connection.execute(statement, {"policy": self.reference.policy})

    def _statement(self, window: Window) -> compose.Composed:
        return compose.SQL(sql.get("orphans/mark")).format(
            keys_of_row=self.reference.keys_of_row,
            heap=window.heap.identifier,
            condition=window.condition,
            grouped=listed(self.reference.of_row),
            arrays=self.reference.gathered,
        )

    def _values(self, window: Window) -> dict[str, Any]:
        heap, first_block, end_block = None, None, None
        if self.by_blocks:
            heap, (_, _, end_block, first_block) = window.heap.oid, window.position
        return {
            "policy": self.reference.policy,
            "heap": heap,
            "first_block": first_block,
            "end_block": end_block,
        }

"""The time-slice scan: reads a table by slices of time, along an index; kept rows are never read."""

from dataclasses import dataclass
from typing import Literal

from psycopg import sql as compose

import sql
from ops_pipeline.maintenance.batches.scans import Position, ScanRange, and_, target
from ops_pipeline.postgres.connection import Connection, row
from ops_pipeline.postgres.relation import Relation
from ops_pipeline.throttle.batch_size import Sizes


@dataclass
class TimeSliceScan:
    """Scans an ordinary table from its oldest row on. A position is [time, as text].

    A slice ends with the last row of its last time, so rows with the same time are never separated.
    `predicate`: the deletable rows, over the alias `target`; it must bound the column from above.
    """

    name = "time-slice scan"
    sizes = Sizes(first=2_000, least=100, most=500_000)  # rows

    connection: Connection
    table: Relation
    column: str
    predicate: compose.Composable

    def next_range(self, after: Position | None, until: Position | None, size: int) -> ScanRange | None:
        """The next slice of about `size` rows."""
        later = self._compared(">", after)
        statement = compose.SQL(sql.get("maintenance/batches/scans/slice")).format(
            table=self.table.identifier,
            column=target(self.column),
            condition=and_(later, self._compared("<=", until), self.predicate),
        )
        scanned, end = row(self.connection, statement, {"size": size})
        if end is None:
            return None
        condition = and_(later, self._compared("<=", [end]), self.predicate)
        return ScanRange(self.table, condition, [end], scanned)

    def _compared(self, operator: Literal[">", "<="], position: Position | None) -> compose.Composable:
        if position is None:
            return compose.SQL("true")
        return compose.SQL("{} {} {}").format(
            target(self.column), compose.SQL(operator), compose.Literal(position[0])
        )

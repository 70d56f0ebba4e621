"""By slices of time, along an index on the column: what is kept is never read."""

from psycopg import sql as compose

import sql
from ops_pipeline.maintenance.batches.scans import Position, ScanRange, and_, target
from ops_pipeline.postgres.connection import Connection, row
from ops_pipeline.postgres.relation import Relation
from ops_pipeline.throttle.batch_size import Sizes


class TimeSliceScan:
    """Walks an ordinary table from its oldest row on. A position is [time, as text].

    A slice ends with the last row of its last moment, so rows of one moment are never parted. `predicate`:
    the rows that may go, over the alias `target`; it must bound the column from above.
    """

    name = "time-slice scan"
    sizes = Sizes(first=2_000, least=100, most=500_000)  # rows

    def __init__(
        self, connection: Connection, table: Relation, column: str, predicate: compose.Composable
    ) -> None:
        self._connection = connection
        self._table = table
        self._column = column
        self._predicate = predicate

    def window(self, after: Position | None, until: Position | None, size: int) -> ScanRange | None:
        """The next slice of about `size` rows."""
        within = and_(self._later_than(after), self._not_later_than(until))
        statement = compose.SQL(sql.get("maintenance/batches/scans/slice")).format(
            table=self._table.identifier,
            column=target(self._column),
            condition=and_(within, self._predicate),
        )
        rows, end = row(self._connection, statement, {"size": size})
        if end is None:
            return None
        slice_ = and_(self._later_than(after), self._not_later_than([end]), self._predicate)
        return ScanRange(self._table, slice_, [end], rows)

    def _later_than(self, position: Position | None) -> compose.Composable:
        if position is None:
            return compose.SQL("true")
        return compose.SQL("{} > {}").format(target(self._column), compose.Literal(position[0]))

    def _not_later_than(self, position: Position | None) -> compose.Composable:
        if position is None:
            return compose.SQL("true")
        return compose.SQL("{} <= {}").format(target(self._column), compose.Literal(position[0]))

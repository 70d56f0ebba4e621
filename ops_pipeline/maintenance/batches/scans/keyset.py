"""The keyset scan: reads a table by ranges of a unique key, in the order of an index."""

from collections.abc import Sequence
from typing import Literal

from psycopg import sql as compose

import sql
from ops_pipeline.maintenance.batches.scans import Position, ScanRange, and_, listed, target
from ops_pipeline.postgres.connection import Connection, row
from ops_pipeline.postgres.relation import Relation
from ops_pipeline.throttle.batch_size import Sizes


class KeysetScan:
    """Scans a table in the order of a unique key that has an index. A position is the key, as text.

    `scanned`: the rows that are scanned at all (a range's size counts these); `predicate`: which of them are
    deletable. Both are over the alias `target`.
    """

    name = "keyset scan"
    sizes = Sizes(first=2_000, least=100, most=200_000)  # rows

    def __init__(
        self,
        connection: Connection,
        table: Relation,
        key: Sequence[str],
        *,
        scanned: compose.Composable,
        predicate: compose.Composable,
    ) -> None:
        self._connection = connection
        self._table = table
        self._key = [target(part) for part in key]
        self._scanned = scanned
        self._predicate = predicate

    def next_range(self, after: Position | None, until: Position | None, size: int) -> ScanRange | None:
        """The next `size` rows in the order of the key."""
        beyond = self._compared(">", after)
        statement = compose.SQL(sql.get("maintenance/batches/scans/keys")).format(
            table=self._table.identifier,
            key=listed(self._key),
            key_texts=listed(compose.SQL("{}::text").format(part) for part in self._key),
            condition=and_(beyond, self._compared("<=", until), self._scanned),
        )
        scanned, last = row(self._connection, statement, {"size": size})
        if last is None:
            return None
        condition = and_(beyond, self._compared("<=", last), self._scanned, self._predicate)
        return ScanRange(self._table, condition, last, scanned)

    def _compared(self, operator: Literal[">", "<="], position: Position | None) -> compose.Composable:
        if position is None:
            return compose.SQL("true")
        values = [compose.Literal(part) for part in position]
        # The leading column once more by itself: an index on that column alone can use it.
        return and_(
            compose.SQL("({}) {} ({})").format(listed(self._key), compose.SQL(operator), listed(values)),
            compose.SQL("{} {} {}").format(
                self._key[0], compose.SQL(">=" if operator == ">" else "<="), values[0]
            ),
        )

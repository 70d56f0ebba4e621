"""By windows over a key, in its order: every row has its own place, however many share a moment."""

from collections.abc import Sequence

from psycopg import sql as compose

import sql
from ops_pipeline.database import Connection, row
from ops_pipeline.maintenance.catalog import Relation
from ops_pipeline.maintenance.windows import Position, Sizes, Window, both, doomed, listed


class KeyWindows:
    """Walks a table along a unique key that an index leads. A position is the key, each part as text.

    `walked` narrows the rows that are walked at all (the window is counted in those); `predicate` says which
    of them may go. Both are over the alias `doomed`.
    """

    name = "key windows"
    sizes = Sizes(first=2_000, least=100, most=200_000)  # rows

    def __init__(
        self,
        connection: Connection,
        table: Relation,
        key: Sequence[str],
        *,
        walked: compose.Composable,
        predicate: compose.Composable,
    ) -> None:
        self._connection = connection
        self._table = table
        self._key = [doomed(part) for part in key]
        self._walked = walked
        self._predicate = predicate

    def window(self, after: Position | None, until: Position | None, size: int) -> Window | None:
        """The next `size` rows in the order of the key."""
        statement = compose.SQL(sql.get("windows/keys")).format(
            table=self._table.identifier,
            key=listed(self._key),
            key_texts=listed(compose.SQL("{}::text").format(part) for part in self._key),
            condition=both(self._beyond(after), self._up_to(until), self._walked),
        )
        examined, last = row(self._connection, statement, {"size": size})
        if last is None:
            return None
        window = both(self._beyond(after), self._up_to(last), self._walked, self._predicate)
        return Window(self._table, window, last, examined)

    def _beyond(self, position: Position | None) -> compose.Composable:
        if position is None:
            return compose.SQL("true")
        key, values = listed(self._key), [compose.Literal(part) for part in position]
        # The leading part once more and alone: that is what an index on it can use.
        return both(
            compose.SQL("({}) > ({})").format(key, listed(values)),
            compose.SQL("{} >= {}").format(self._key[0], values[0]),
        )

    def _up_to(self, position: Position | None) -> compose.Composable:
        if position is None:
            return compose.SQL("true")
        key, values = listed(self._key), [compose.Literal(part) for part in position]
        return both(
            compose.SQL("({}) <= ({})").format(key, listed(values)),
            compose.SQL("{} <= {}").format(self._key[0], values[0]),
        )

"""What an interrupted REINDEX CONCURRENTLY has left: invalid indexes, written to all the same and never read.

They are named after their index with `_ccnew` or `_ccold` behind it and a number where that name was taken
(PostgreSQL's documentation, REINDEX, "Rebuilding Indexes Concurrently"). A name is no proof. Dropped is only
one that is invalid, that is the copy of a valid index, and on which nobody is at work.
"""

from collections.abc import Collection
from dataclasses import dataclass

from psycopg import sql as compose

import sql
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.relation import Relation


@dataclass(frozen=True, slots=True)
class Leftover:
    """An invalid index with such a name. `copy_of`: the valid index that does its work, None when there is
    none; `worker`: who builds it, or holds a lock with which that could be."""

    index: Relation
    table: Relation
    bytes: int
    copy_of: str | None
    worker: str | None

    @property
    def kept_because(self) -> str | None:
        """Why it is not to be dropped now; None when it may go."""
        if self.worker is not None:
            return (
                f"it is invalid, and may be just being built: {self.worker} holds a lock on it or its table"
            )
        if self.copy_of is None:
            return (
                "it is invalid, but no valid index of its table is like it; drop it yourself, or make it "
                f"valid with REINDEX INDEX CONCURRENTLY {self.index}"
            )
        return None

    @property
    def reason(self) -> str:
        """What it is."""
        return f"an interrupted REINDEX CONCURRENTLY of {self.copy_of} left it; it is invalid"

    def statement(self, connection: Connection) -> str:
        """What drops it, for a person."""
        return self.drop.as_string(connection).splitlines()[-1]

    @property
    def drop(self) -> compose.Composed:
        """The statement that drops it."""
        return compose.SQL(sql.get("maintenance/vacuum/drop_index")).format(index=self.index.identifier)


def find_leftovers(connection: Connection, tables: Collection[int]) -> list[Leftover]:
    """The leftovers on those tables."""
    rows = connection.execute(sql.get("maintenance/vacuum/leftovers"), {"tables": list(tables)})
    return [
        Leftover(Relation(*row[:3]), Relation(*row[3:6]), row[6], copy_of=row[7], worker=row[8])
        for row in rows
    ]


def drop_leftover(connection: Connection, leftover: Leftover) -> str | None:
    """Drops it without keeping anybody from the table. Looks at it once more first.

    Returns why it was kept, or None: it is gone. Raises psycopg.Error, above all LockNotAvailable while
    somebody's transaction has the table open.
    """
    for current in find_leftovers(connection, [leftover.table.oid]):
        if current.index == leftover.index:
            if current.kept_because is not None:
                return current.kept_because
            connection.execute(leftover.drop)
    return None

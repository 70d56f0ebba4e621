"""Finds and drops invalid indexes that an interrupted REINDEX CONCURRENTLY left: written to, but never read.

They have the name of their index with `_ccnew` or `_ccold` and, where that name was taken, a number
(PostgreSQL's documentation, REINDEX, "Rebuilding Indexes Concurrently"). The name alone does not prove it: an
index is dropped only if it is invalid, is a copy of a valid index, and no session is building it.
"""

from collections.abc import Collection
from dataclasses import dataclass

from psycopg import sql as compose

import sql
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.relation import Relation
from ops_pipeline.postgres.spelling import spelled


@dataclass(frozen=True, slots=True)
class Leftover:
    """An invalid index with such a name. `copy_of`: the valid index of which it is a copy, or None;
    `worker`: the session that builds it, or holds a lock with which it could be building it."""

    index: Relation
    table: Relation
    bytes: int
    copy_of: str | None
    worker: str | None

    @property
    def kept_because(self) -> str | None:
        """Why it must not be dropped now; None when it may be dropped."""
        if self.worker is not None:
            return (
                f"it is invalid, but may be under construction: {self.worker} holds a lock on it or its table"
            )
        if self.copy_of is None:
            return (
                "it is invalid, but not a copy of a valid index of its table. Drop it yourself, or make it "
                f"valid: REINDEX INDEX CONCURRENTLY {self.index}"
            )
        return None

    @property
    def reason(self) -> str:
        """What it is, in words."""
        return f"it is invalid, left by an interrupted REINDEX CONCURRENTLY of {self.copy_of}"

    def statement(self, connection: Connection) -> str:
        """The statement that drops it, as text for people."""
        return spelled(self.drop, connection).splitlines()[-1]

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
    """Drops it concurrently, without blocking reads or writes of the table, after checking it again.

    Returns why it was kept, or None when it was dropped. Raises psycopg.Error: LockNotAvailable while another
    session's transaction has the table open.
    """
    for current in find_leftovers(connection, [leftover.table.oid]):
        if current.index == leftover.index:
            if current.kept_because is not None:
                return current.kept_because
            connection.execute(leftover.drop)
    return None

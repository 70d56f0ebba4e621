"""Ends an adoption: `--finish` drops the old table, `--abort` undoes everything before the swap."""

from collections.abc import Iterator
from contextlib import contextmanager

from psycopg import sql as compose

import sql
from ops_pipeline.partitions.adopt.adoption import (
    Adoption,
    AdoptionError,
    adoption_lock,
    advance,
    open_adoption,
    relation_of,
)
from ops_pipeline.postgres.advisory_lock import advisory_lock, lock_holder
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.locks import TableLock, with_short_lock
from ops_pipeline.postgres.relation import TableName


def finish_adoption(connection: Connection, table: TableName) -> Adoption:
    """Drops the old table, if it is still the one that was adopted.

    Raises AdoptionError or LockedError; nothing was changed then.
    """
    with _current(connection, table) as current:
        if current.state != "swapped":
            raise AdoptionError(
                f"{current} is not copied completely. Nothing was changed. First run the same command "
                "without --finish"
            )

        def work() -> Adoption:
            _drop(connection, current.old)
            return advance(connection, current, "finished")

        return with_short_lock(
            connection,
            TableLock(current.old, "AccessExclusiveLock"),
            work,
            purpose=f"Dropping the old table of {current}",
        )


def abort_adoption(connection: Connection, table: TableName) -> Adoption:
    """Undoes an adoption before its swap; the table itself was never changed.

    Raises AdoptionError or LockedError.
    """
    with _current(connection, table) as current:
        if current.state == "swapped":
            raise AdoptionError(
                f"{current} is adopted already and may have been written to since. Nothing was changed. To "
                "drop the old table, use --finish"
            )

        def work() -> Adoption:
            drop_recorder = compose.SQL(sql.get("partitions/adopt/drop_recorder"))
            connection.execute(drop_recorder.format(recorder=current.recorder))
            drop_changes = compose.SQL(sql.get("partitions/adopt/drop_table"))
            connection.execute(drop_changes.format(table=current.changes))
            _drop(connection, current.new)
            return advance(connection, current, "aborted")

        return with_short_lock(
            connection,
            TableLock(current.old, "AccessExclusiveLock", (current.new,)),
            work,
            purpose=f"Undoing the adoption of {current}",
        )


@contextmanager
def _current(connection: Connection, table: TableName) -> Iterator[Adoption]:
    lock = adoption_lock(table)
    with advisory_lock(connection, lock) as taken:
        if not taken:
            holder = lock_holder(connection, lock)
            raise AdoptionError(
                f"another session is adopting {table.qualified}: {holder}. Nothing was changed; end that "
                "session first"
            )
        current = open_adoption(connection, table)
        if current is None:
            raise AdoptionError(f"{table.qualified} has no open adoption; nothing was changed")
        yield current


def _drop(connection: Connection, oid: int) -> None:
    if (relation := relation_of(connection, oid)) is not None:
        statement = compose.SQL(sql.get("partitions/adopt/drop_table"))
        connection.execute(statement.format(table=relation.identifier))

"""An adoption's end: the old table dropped, or everything undone."""

from psycopg import sql as compose

import sql
from ops_pipeline.partitions.adopt import adoption as adoptions
from ops_pipeline.partitions.adopt.adoption import Adoption, AdoptionError
from ops_pipeline.postgres.advisory_lock import advisory_lock, lock_holder
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.locks import TableLock, with_short_lock


def finish_adoption(connection: Connection, schema: str, name: str) -> Adoption:
    """Drops the old table, which is the one that was adopted or nothing is done.

    Raises AdoptionError or LockedError.
    """
    with advisory_lock(connection, f"ops: adopt {schema}.{name}") as taken:
        current = _current(connection, schema, name, taken=taken)
        if current.state != "swapped":
            raise AdoptionError(
                f"{current} is still being copied; go on without --finish first. Nothing was changed"
            )

        def work() -> Adoption:
            _drop(connection, current.old)
            return adoptions.advance(connection, current, "finished")

        return with_short_lock(
            connection,
            TableLock(current.old, "AccessExclusiveLock"),
            work,
            purpose=f"Dropping what {current} was before its adoption",
        )


def abort_adoption(connection: Connection, schema: str, name: str) -> Adoption:
    """Undoes what an adoption has done before its swap; the table stays as it always was.

    Raises AdoptionError or LockedError.
    """
    with advisory_lock(connection, f"ops: adopt {schema}.{name}") as taken:
        current = _current(connection, schema, name, taken=taken)
        if current.state == "swapped":
            raise AdoptionError(
                f"{current} has been adopted and may have been written to since; --finish drops what it was "
                "before. Nothing was changed"
            )

        def work() -> Adoption:
            for statement, parts in (
                ("drop_note", {"note": current.note}),
                ("drop_table", {"table": current.changes}),
            ):
                connection.execute(compose.SQL(sql.get(f"partitions/adopt/{statement}")).format(**parts))
            _drop(connection, current.new)
            return adoptions.advance(connection, current, "aborted")

        return with_short_lock(
            connection,
            TableLock(current.old, "AccessExclusiveLock", (current.new,)),
            work,
            purpose=f"Undoing the adoption of {current}",
        )


def _current(connection: Connection, schema: str, name: str, *, taken: bool) -> Adoption:
    if not taken:
        holder = lock_holder(connection, f"ops: adopt {schema}.{name}")
        raise AdoptionError(f"{schema}.{name} is being adopted by {holder}; end that first")
    current = adoptions.find(connection, schema, name)
    if current is None:
        raise AdoptionError(f"no adoption of {schema}.{name} has begun that could be ended")
    return current


def _drop(connection: Connection, oid: int) -> None:
    found = connection.execute(sql.get("partitions/adopt/identifier_of"), {"table": oid}).fetchone()
    if found is not None:
        statement = compose.SQL(sql.get("partitions/adopt/drop_table"))
        connection.execute(statement.format(table=compose.Identifier(*found)))

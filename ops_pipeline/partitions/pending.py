"""Detaches that were interrupted half way."""

import psycopg
from psycopg import sql as compose

import sql
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.locks import TableLock, with_short_lock
from ops_pipeline.postgres.relation import Relation


def finalize(connection: Connection, relation: Relation) -> list[str]:
    """Completes the table's interrupted detaches; says which partitions that were.

    While one is pending new readers do not see its rows, rows of its time are refused, and no other
    partition of the table can be detached: it comes first in every run. What it leaves is a table of its
    own; one that was on its way to its drop is in `drop.leftovers`. Raises LockedError.
    """
    pending = _pending(connection, relation)
    for partition in pending:
        statement = compose.SQL(sql.get("partitions/finalize")).format(
            table=relation.identifier, partition=partition.identifier
        )

        def complete(statement: compose.Composed = statement) -> psycopg.Cursor[tuple[object, ...]]:
            return connection.execute(statement)

        with_short_lock(
            connection,
            TableLock(relation.oid, "ShareUpdateExclusiveLock", (partition.oid,)),
            complete,
            purpose=f"Completing the detach of {partition} from {relation}",
        )
    return [str(partition) for partition in pending]


def interrupted(connection: Connection, relation: Relation) -> list[str]:
    """The table's partitions whose detach stands half way. Reads only."""
    return [str(partition) for partition in _pending(connection, relation)]


def _pending(connection: Connection, relation: Relation) -> list[Relation]:
    found = connection.execute(sql.get("partitions/pending"), {"table": relation.oid})
    return [Relation(*row) for row in found]

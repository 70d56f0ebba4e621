"""A partition taken out of its table, or put back; and detaches that were interrupted half way."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from psycopg import sql as compose

import sql
from ops_pipeline.partitions.partition import Partition, existing, state
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.postgres.locks import TableLock, between_blockers, with_short_lock
from ops_pipeline.postgres.relation import Relation

CONCURRENT_WAIT = "10s"
"""DETACH CONCURRENTLY waits for transactions without anybody waiting behind it."""
CONCURRENT_LONG_SECONDS = 0.1
"""It cannot be undone once it waits, so a transaction that is not among the shortest is let pass first."""


class ChangedError(Exception):
    """The partition is not the one any more that was chosen; nothing was changed."""


def detach(connection: Connection, relation: Relation, partition: Partition) -> None:
    """Takes the partition out of its table; the caller has noted it in `ops.detached_partitions`.

    Without a default partition CONCURRENTLY, which PostgreSQL refuses with one: then under an exclusive
    lock of a moment. Raises LockedError, psycopg.errors.ForeignKeyViolation where rows elsewhere still
    refer to rows of the partition, ChangedError where it is another partition by now. `state` tells how far
    it came.
    """
    present = existing(connection, relation)
    default = next((other for other in present if other.is_default), None)
    if partition not in present:
        raise ChangedError(f"{partition} is no longer the partition ({partition.bounds}) that was chosen")
    if default is None:
        _concurrently(connection, relation, partition)
        return
    with_short_lock(
        connection,
        TableLock(relation.oid, "AccessExclusiveLock", (partition.oid, default.oid)),
        lambda: connection.execute(sql.get("partitions/detach"), partition.identity),
        purpose=f"Detaching {partition} from {relation}",
    )


def attach_again(connection: Connection, relation: Relation, partition: Partition) -> None:
    """Makes a detached partition one again, and forgets that it was on its way to its drop.

    Raises LockedError; psycopg.errors.InvalidObjectDefinition where another partition has its times now.
    """
    default = tuple(other.oid for other in existing(connection, relation) if other.is_default)
    with_short_lock(
        connection,
        TableLock(relation.oid, "ShareUpdateExclusiveLock", (partition.oid, *default)),
        lambda: connection.execute(sql.get("partitions/attach_detached"), partition.identity),
        purpose=f"Attaching {partition} to {relation} again",
    )


def finalize_detaches(connection: Connection, relation: Relation) -> list[str]:
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

        with_short_lock(
            connection,
            TableLock(relation.oid, "ShareUpdateExclusiveLock", (partition.oid,)),
            partial(connection.execute, statement),
            purpose=f"Completing the detach of {partition} from {relation}",
        )
    return [str(partition) for partition in pending]


def interrupted_detaches(connection: Connection, relation: Relation) -> list[str]:
    """The table's partitions whose detach stands half way. Reads only."""
    return [str(partition) for partition in _pending(connection, relation)]


def _concurrently(connection: Connection, relation: Relation, partition: Partition) -> None:
    statement = compose.SQL(sql.get("partitions/detach_concurrently")).format(
        table=relation.identifier, partition=partition.identifier
    )

    def attempt() -> None:
        if state(connection, partition) == "attached":
            with _waiting(connection, CONCURRENT_WAIT):
                connection.execute(statement)

    try:
        between_blockers(
            connection,
            TableLock(relation.oid, "AccessExclusiveLock", (partition.oid,)),
            attempt,
            purpose=f"Detaching {partition} from {relation}",
            long_seconds=CONCURRENT_LONG_SECONDS,
        )
    finally:
        # A wait that ran out between its two transactions leaves the detach pending.
        if not connection.broken and state(connection, partition) == "pending":
            finalize_detaches(connection, relation)


def _pending(connection: Connection, relation: Relation) -> list[Relation]:
    rows = connection.execute(sql.get("partitions/pending"), {"table": relation.oid})
    return [Relation(*row) for row in rows]


@contextmanager
def _waiting(connection: Connection, lock_timeout: str) -> Iterator[None]:
    before = scalar(connection, sql.get("partitions/show_lock_timeout"))
    connection.execute(sql.get("partitions/session_lock_timeout"), {"lock_timeout": lock_timeout})
    try:
        yield
    finally:
        if not connection.broken:
            connection.execute(sql.get("partitions/session_lock_timeout"), {"lock_timeout": before})

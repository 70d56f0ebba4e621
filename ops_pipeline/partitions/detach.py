"""Detaches a partition, attaches it again, and completes interrupted detaches."""

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
"""How long DETACH CONCURRENTLY waits for transactions. Other sessions do not queue behind it."""
CONCURRENT_LONG_SECONDS = 0.1
"""It cannot be undone once it waits, so it starts only when no open transaction is older than this."""


class ChangedError(Exception):
    """The partition is no longer the one that was chosen; nothing was changed."""


def detach(connection: Connection, relation: Relation, partition: Partition) -> None:
    """Detaches the partition; the caller has recorded it in `ops.detached_partitions`.

    CONCURRENTLY, unless the table has a default partition, with which PostgreSQL does not allow that; then
    under a brief ACCESS EXCLUSIVE lock. Raises LockedError; psycopg.errors.ForeignKeyViolation where rows of
    other tables still refer to rows of the partition; ChangedError where it is another partition now. After
    an error, `state` says how far it came.
    """
    present = existing(connection, relation)
    default = next((other for other in present if other.is_default), None)
    if partition not in present:
        raise ChangedError(f"{partition} is no longer the chosen partition ({partition.bounds})")
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
    """Attaches a detached partition again, and deletes the record that it was to be dropped.

    Raises LockedError; psycopg.errors.InvalidObjectDefinition where another partition overlaps it now.
    """
    default = tuple(other.oid for other in existing(connection, relation) if other.is_default)
    with_short_lock(
        connection,
        TableLock(relation.oid, "ShareUpdateExclusiveLock", (partition.oid, *default)),
        lambda: connection.execute(sql.get("partitions/attach_detached"), partition.identity),
        purpose=f"Attaching {partition} to {relation} again",
    )


def finalize_detaches(connection: Connection, relation: Relation) -> list[str]:
    """Completes the table's interrupted detaches; returns the names of their partitions.

    While a detach is pending, new queries do not see its rows, rows of its range cannot be inserted, and no
    other partition of the table can be detached. So this comes first in every run. The partition is then a
    separate table; if it was to be dropped, `drop.leftovers` finds it. Raises LockedError.
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
    """The table's partitions whose detach is pending. Reads only."""
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
        # A lock timeout between its two transactions leaves the detach pending.
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

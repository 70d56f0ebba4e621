"""Premakes day partitions: creates them ahead of time."""

from datetime import UTC, date, datetime, timedelta

import psycopg

from ops_pipeline.partitions import default_rows
from ops_pipeline.partitions.create import attach_new
from ops_pipeline.partitions.gaps import Range, gaps
from ops_pipeline.partitions.partition import Partition, Partitioned, existing, partitioned
from ops_pipeline.postgres.advisory_lock import advisory_lock
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.locks import TableLock, with_short_lock
from ops_pipeline.postgres.relation import Relation

PREMAKE_DAYS = 14


def premake(connection: Connection, table: Relation, days: int = PREMAKE_DAYS) -> int:
    """Creates the missing partitions of today and the next `days` days (UTC); returns how many.

    Raises as `premake_days` does.
    """
    today = datetime.now(UTC).date()
    return premake_days(connection, table, today, today + timedelta(days=days))


def premake_days(
    connection: Connection, table: Relation, first: date, last: date, *, named: str | None = None
) -> int:
    """Creates the missing day partitions from `first` to `last`, both included.

    A partition of any width that covers the day is enough; where partitions cover a part of it, one is
    created for the rest. Rows of such a day in the default partition are moved into the new one. Each
    partition is a transaction, so finished ones are kept. Partition names begin with the table's, or `named`.

    Returns how many were created. Raises NotPartitionedError; LockedError when other sessions had locked the
    table at every try; DefaultRowsRemainError, after all other days, when default partition rows cannot be
    moved; psycopg.errors.LockNotAvailable when another session creates partitions for too long.
    """
    partitioned_table = partitioned(connection, table)
    created, remaining = 0, None
    with advisory_lock(connection, f"ops: partitions of {partitioned_table}", wait=True):
        present = existing(connection, table)
        default = default_rows.own_default(present)
        for gap in gaps(present, first, last):
            try:
                created += _fill(connection, partitioned_table, default, gap, named)
            except default_rows.DefaultRowsRemainError as error:
                remaining = error
    if remaining is not None:
        raise remaining
    return created


def _fill(
    connection: Connection, table: Partitioned, default: Partition | None, gap: Range, named: str | None
) -> int:
    if default is None:
        _create(connection, table, gap, (), named)
        return 1
    if default_rows.earliest_row(connection, table, default, gap) is None:
        try:
            _create(connection, table, gap, (default.oid,), named)
        except psycopg.errors.CheckViolation:  # a row of that range was inserted meanwhile
            return default_rows.move_to_partitions(connection, table, default, gap).partitions
        return 1
    return default_rows.move_to_partitions(connection, table, default, gap).partitions


def _create(
    connection: Connection, table: Partitioned, gap: Range, default: tuple[int, ...], named: str | None
) -> None:
    with_short_lock(
        connection,
        TableLock(table.oid, "ShareUpdateExclusiveLock", default),
        lambda: attach_new(connection, table, gap, named=named),
        purpose=f"Creating the partition of {table} for {gap}",
    )

"""Moves default partition rows into partitions of their own."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from psycopg import sql as compose

import sql
from ops_pipeline.partitions.create import attach_new
from ops_pipeline.partitions.gaps import Range, gaps, midnight
from ops_pipeline.partitions.partition import Partition, Partitioned, existing, partitioned
from ops_pipeline.postgres.advisory_lock import advisory_lock
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.postgres.locks import TableLock, with_short_lock
from ops_pipeline.postgres.relation import Relation

BATCH_ROWS = 10_000
"""How many rows move in one transaction. All other sessions wait for it, so it is small; a day with more rows
gets several partitions of about this size."""


class DefaultRowsRemainError(Exception):
    """Default partition rows cannot be moved; they are safe there. The message says why."""


Stop = Callable[[], str | None]
"""Called before each day: returns None to continue, or the reason to stop."""


@dataclass(frozen=True, slots=True)
class MovedRows:
    """How many rows were moved, and how many partitions were created for them."""

    rows: int
    partitions: int


def move_all(
    connection: Connection, table: Relation, cutoff: datetime, days_ahead: int, stop: Stop = lambda: None
) -> MovedRows:
    """Moves the default partition rows whose day (UTC) is still kept into partitions of their own.

    From the day of `cutoff` to `days_ahead` days from now: older rows are deleted in the default partition,
    and rows further in the future, perhaps from a wrong clock, wait until then. When `stop` returns a reason,
    the rows of further days wait for the next call. Raises NotPartitionedError, DefaultRowsRemainError or
    LockedError; rows moved before that stay moved.
    """
    partitioned_table = partitioned(connection, table)
    last = datetime.now(UTC).date() + timedelta(days=days_ahead)
    start, end = midnight(cutoff.astimezone(UTC).date()), midnight(last + timedelta(days=1))
    rows = made = 0
    with advisory_lock(connection, f"ops: partitions of {partitioned_table}", wait=True):
        present = existing(connection, table)
        default = own_default(present)
        while default is not None and start < end and stop() is None:
            row_time = earliest_row(connection, partitioned_table, default, Range(start, end))
            if row_time is None:
                break
            day = row_time.astimezone(UTC).date()
            gap = next(
                gap_of_day
                for gap_of_day in gaps(present, day, day)
                if gap_of_day.lower <= row_time < gap_of_day.upper
            )
            moved = move_to_partitions(connection, partitioned_table, default, gap)
            rows, made, start = rows + moved.rows, made + moved.partitions, gap.upper
    return MovedRows(rows, made)


def own_default(present: list[Partition]) -> Partition | None:
    """The default partition among these; None without one, or where it is a foreign table."""
    return next((partition for partition in present if partition.is_default and partition.kind != "f"), None)


def earliest_row(
    connection: Connection, table: Partitioned, default: Partition, times: Range
) -> datetime | None:
    """The time of the earliest row of that range in the default partition."""
    statement = _composed("partitions/earliest_default_row", table, default)
    earliest = connection.execute(statement, {"lower": times.lower, "upper": times.upper}).fetchone()
    return None if earliest is None else earliest[0]


def move_to_partitions(
    connection: Connection, table: Partitioned, default: Partition, times: Range
) -> MovedRows:
    """Creates partitions for that range of times and moves the rows of the default partition into them.

    While a batch moves, other sessions cannot use the table, so none sees a row twice or not at all, and no
    write fails because its row has just moved. Each batch is a transaction: an interruption leaves every row
    in one place. Raises DefaultRowsRemainError or LockedError.
    """
    reason = connection.execute(
        sql.get("partitions/immovable"), {"table": table.oid, "default": default.oid}
    ).fetchone()
    if reason is not None:
        raise DefaultRowsRemainError(
            f"{default} has rows from {times} that cannot be moved into a partition of their own: "
            f"{reason[0]}. They are safe there, and will be deleted when they expire"
        )
    rows = partitions = 0
    lower = times.lower
    while lower < times.upper:
        batch = Range(lower, _cut(connection, table, default, Range(lower, times.upper)))
        rows += _move(connection, table, default, batch)
        partitions += 1
        lower = batch.upper
    return MovedRows(rows, partitions)


def _cut(connection: Connection, table: Partitioned, default: Partition, times: Range) -> datetime:
    statement = _composed("partitions/cut", table, default)
    values = {"lower": times.lower, "upper": times.upper, "rows": BATCH_ROWS}
    cut: datetime | None = scalar(connection, statement, values)
    return times.upper if cut is None else cut


def _move(connection: Connection, table: Partitioned, default: Partition, times: Range) -> int:
    moved = 0

    def fill(partition: compose.Identifier) -> None:
        nonlocal moved
        names = connection.execute(sql.get("partitions/columns"), {"table": table.oid}).fetchall()
        statement = compose.SQL(sql.get("partitions/move_rows")).format(
            default=default.identifier,
            partition=partition,
            column=compose.Identifier(table.column),
            columns=compose.SQL(", ").join(compose.Identifier(name) for (name,) in names),
        )
        values = {"lower": times.lower, "upper": times.upper}
        moved = connection.execute(statement, values).rowcount

    def work() -> None:
        lock = compose.SQL(sql.get("partitions/lock_out"))
        connection.execute(lock.format(table=table.identifier, default=default.identifier))
        attach_new(connection, table, times, fill)

    with_short_lock(
        connection,
        TableLock(table.oid, "AccessExclusiveLock", (default.oid,)),
        work,
        purpose=f"Moving rows of {table} from {times} out of {default}",
    )
    return moved


def _composed(statement: str, table: Partitioned, default: Partition) -> compose.Composed:
    return compose.SQL(sql.get(statement)).format(
        default=default.identifier, column=compose.Identifier(table.column)
    )

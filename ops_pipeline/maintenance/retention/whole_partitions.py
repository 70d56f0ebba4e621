"""Daily partitions in a retention run: creates them ahead of time, and drops them once all rows expired."""

from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql as compose

import sql
from ops_pipeline.archive.files import WrittenFile, total_rows
from ops_pipeline.counted import counted
from ops_pipeline.holds import holds
from ops_pipeline.maintenance.batches.batch import PolicyRun
from ops_pipeline.maintenance.history import Batch
from ops_pipeline.maintenance.plan import RowCount
from ops_pipeline.maintenance.retention.plan import RetentionPlan
from ops_pipeline.maintenance.retention.policy import Retention
from ops_pipeline.partitions import default_rows, drop, expired
from ops_pipeline.partitions.default_rows import DefaultRowsRemainError
from ops_pipeline.partitions.detach import finalize_detaches
from ops_pipeline.partitions.partition import Partition
from ops_pipeline.partitions.premake import premake
from ops_pipeline.postgres import on_delete
from ops_pipeline.postgres.connection import Connection, row, scalar
from ops_pipeline.postgres.locks import LockedError
from ops_pipeline.postgres.relation import Relation

if TYPE_CHECKING:
    from ops_pipeline.maintenance.batches.actions.archive_and_delete import ArchiveAndDelete


def prepare(run: PolicyRun, policy: Retention, table: Relation, cutoff: datetime) -> list[str]:
    """Prepares the table's partitions, each step in its own transactions: completes interrupted detaches,
    premakes partitions, and moves rows out of the default partition.

    Returns what could not be done because other sessions had locked the table; the next run tries again.
    """
    finalize_detaches(run.connection, table)
    if policy.partition is None:
        return []
    undone: list[str] = []
    try:
        created = premake(run.connection, table, policy.premake.days)
        moved = default_rows.move_all(run.connection, table, cutoff, policy.premake.days, run.stopped)
    except (LockedError, DefaultRowsRemainError, psycopg.errors.LockNotAvailable) as error:
        undone.append(str(error))
        run.report(f"{policy.name}: {error}")
    else:
        run.report(
            f"{policy.name}: {counted(created, 'partition')} premade, "
            f"{counted(moved.rows, 'default partition row')} moved"
        )
    return undone


def remove(
    run: PolicyRun,
    table: Relation,
    column: str,
    plan: RetentionPlan,
    archiving: "ArchiveAndDelete | None",
    undone: list[str],
) -> str | None:
    """Drops the partitions that contain only expired rows. Returns why it stopped early, if it did.

    A partition that cannot be dropped whole, because a row is on hold or never expires, because a session
    has locked it or another object depends on it, is left to be deleted row by row; `undone` then gets why.
    """
    partitions = [
        *drop.leftovers(run.connection, table, plan.cutoff),
        *expired.expired_partitions(run.connection, table, column, plan.cutoff),
    ]
    for partition in partitions:
        if (reason := run.asked_to_stop()) is not None:
            return reason
        removal = _PartitionRemoval(run, table, column, partition, _rows(plan.rows, partition), archiving)
        outcome = removal.remove()
        run.report(f"{run.record.policy}: {outcome}")
        if removal.is_kept:
            undone.append(outcome)
    return None


def _rows(rows: RowCount, partition: Partition) -> int | None:
    """How many rows the partition had when they were counted."""
    if not rows.exact:
        return None
    counted = {count.partition.oid: count.total for count in rows.partitions}
    return counted.get(partition.oid)


@dataclass(slots=True)
class _PartitionRemoval:
    """The drop of one whole partition."""

    run: PolicyRun
    table: Relation
    column: str
    partition: Partition
    rows: int | None
    archiving: "ArchiveAndDelete | None"
    is_kept: bool = False
    _files: list[WrittenFile] = field(default_factory=list)

    def remove(self) -> str:
        """Drops it if it may be dropped, and returns the outcome in words. Its archived files count once it
        is dropped."""
        try:
            dropped = drop.remove(
                self.run.connection,
                self.table,
                self.partition,
                archive=None if self.archiving is None else partial(self._copy, self.archiving),
                in_drop=self._record,
                keeps=self._keeps,
            )
        except psycopg.OperationalError as error:
            # Without a SQLSTATE it is unknown whether the transaction was committed; the next run finds out.
            if error.sqlstate is not None:
                self._discard()
            raise
        except BaseException:
            self._discard()
            raise
        self.is_kept = isinstance(dropped, drop.KeptPartition)
        if isinstance(dropped, drop.KeptPartition):
            self._discard()
            return (
                f"{self.partition} was not dropped: {dropped.reason.rstrip('.')}; its expired rows are "
                "deleted row by row instead"
            )
        if self.archiving is not None:
            self.archiving.archive.publish(self.run.connection, self._files)
        return f"dropped {self.partition} ({dropped.bytes:,} bytes)"

    def _copy(self, archiving: "ArchiveAndDelete", partition: Partition) -> None:
        self._files += archiving.copy(partition)

    def _discard(self) -> None:
        if self.archiving is not None:
            self.archiving.archive.discard(self._files)

    def _record(self, connection: Connection) -> None:
        """Records the drop, in the transaction that drops the partition."""
        connection.execute(sql.get("maintenance/retention/durable"))
        known, size = row(connection, sql.get("partitions/size"), {"oid": self.partition.oid})
        archived = total_rows(self._files)
        if self.archiving is not None:
            rows = archived
            if self._files:
                connection.execute(self.archiving.archive.insert_statement(self._files))
        else:
            rows = known if self.rows is None else self.rows
        connection.execute(*self.run.record.batch_statement(Batch(rows, rows, archived, size)))

    def _keeps(self, partition: Partition) -> str | None:
        """Why rows of it must not be deleted."""
        connection = self.run.connection
        connection.execute(sql.get("maintenance/retention/lock_shared"))
        relation = Relation(partition.oid, partition.schema, partition.name)
        active = holds.active(connection, self.table)
        if holds.rows_on_hold(connection, relation, compose.SQL("true"), active) > 0:
            return f"a hold covers rows of {partition}"
        if triggers := on_delete.row_triggers(connection, relation):
            return f"the trigger {triggers[0].name} on {partition} runs for each row that is deleted"
        if partition.may_hold_minus_infinity and self._has_infinite(partition):
            return f"{partition} has rows whose {self.column} is infinite, which never expire"
        return None

    def _has_infinite(self, partition: Partition) -> bool:
        statement = compose.SQL(sql.get("maintenance/retention/has_infinite")).format(
            table=partition.identifier, column=compose.Identifier(self.column)
        )
        return bool(scalar(self.run.connection, statement))

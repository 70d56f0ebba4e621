"""Days of rows that are partitions: made ahead, and removed whole once all of a day has expired."""

from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

import psycopg
from psycopg import sql as compose

import sql
from ops_pipeline.archive.files import WrittenFile, total_rows
from ops_pipeline.holds import holds
from ops_pipeline.maintenance.batches.actions.archive_and_delete import ArchiveAndDelete
from ops_pipeline.maintenance.batches.batch import Run
from ops_pipeline.maintenance.history import Batch
from ops_pipeline.maintenance.plan import RowCount
from ops_pipeline.maintenance.retention.plan import RetentionPlan
from ops_pipeline.maintenance.retention.policy import Retention
from ops_pipeline.partitions import default_rows, drop, expired
from ops_pipeline.partitions.default_rows import DefaultRowsRemainError
from ops_pipeline.partitions.detach import finalize_detaches
from ops_pipeline.partitions.partition import Partition
from ops_pipeline.partitions.premake import premake
from ops_pipeline.postgres.connection import Connection, row, scalar
from ops_pipeline.postgres.locks import LockedError
from ops_pipeline.postgres.relation import Relation


def prepare(run: Run, policy: Retention, table: Relation, before: datetime) -> list[str]:
    """Brings the table's partitions in order, each step in transactions of its own: interrupted detaches
    are completed, the days to come created, and rows moved whose day had no partition.

    Says what could not be done because others held the table; what is not made today is made tomorrow.
    """
    finalize_detaches(run.connection, table)
    if policy.partition is None:
        return []
    undone: list[str] = []
    try:
        created = premake(run.connection, table, policy.premake.days)
        home = default_rows.move_all(run.connection, table, before, policy.premake.days)
    except (LockedError, DefaultRowsRemainError, psycopg.errors.LockNotAvailable) as error:
        undone.append(str(error))
        run.report(f"{policy.name}: {error}")
    else:
        run.report(
            f"{policy.name}: {created} partitions created ahead, {home.rows:,} stray rows brought home"
        )
    return undone


def remove(
    run: Run, table: Relation, column: str, plan: RetentionPlan, archiving: ArchiveAndDelete | None
) -> str | None:
    """Removes the partitions that hold nothing but expired rows; why it stopped early, if it did.

    One that cannot go as a whole, because a row of it is on hold or never expires, or a session is in its
    way, is left to be emptied row by row.
    """
    before = plan.cutoff
    going = [
        *drop.leftovers(run.connection, table, before),
        *expired.expired_partitions(run.connection, table, column, before),
    ]
    for partition in going:
        if (reason := run.asked_to_stop()) is not None:
            return reason
        day = _Day(run, table, column, partition, _rows(plan.rows, partition), archiving)
        run.report(f"{run.record.policy}: {day.remove()}")
    return None


def _rows(rows: RowCount, partition: Partition) -> int | None:
    """How many rows the partition had when they were counted."""
    if not rows.exact:
        return None
    counted = {share.table: share.total for share in rows.partitions}
    return counted.get(str(partition))


@dataclass(slots=True)
class _Day:
    """One partition on its way out."""

    run: Run
    table: Relation
    column: str
    partition: Partition
    rows: int | None
    archiving: ArchiveAndDelete | None
    _parts: list[WrittenFile] = field(default_factory=list)

    def remove(self) -> str:
        """Removes it if it may go, and says what came of it. Its files count once it is dropped."""
        try:
            gone = drop.remove(
                self.run.connection,
                self.table,
                self.partition,
                archive=None if self.archiving is None else partial(self._copy, self.archiving),
                in_drop=self._note,
                keeps=self._keeps,
            )
        except psycopg.OperationalError as error:
            # Without a SQLSTATE nobody knows whether it was committed; the next run finds out.
            if error.sqlstate is not None:
                self._discard()
            raise
        except BaseException:
            self._discard()
            raise
        if isinstance(gone, drop.KeptPartition):
            self._discard()
            return f"{gone.reason}; it is emptied row by row"
        if self.archiving is not None:
            self.archiving.archive.publish(self.run.connection, self._parts)
        return f"{self.partition} is dropped, {gone.bytes:,} bytes"

    def _copy(self, archiving: ArchiveAndDelete, partition: Partition) -> None:
        self._parts += archiving.copy(partition)

    def _discard(self) -> None:
        if self.archiving is not None:
            self.archiving.archive.discard(self._parts)

    def _note(self, connection: Connection) -> None:
        """What is written down in the dropping transaction."""
        connection.execute(sql.get("maintenance/retention/durable"))
        known, size = row(connection, sql.get("partitions/size"), {"oid": self.partition.oid})
        archived = total_rows(self._parts)
        if self.archiving is not None:
            rows = archived
            if self._parts:
                connection.execute(self.archiving.archive.insert_statement(self._parts))
        else:
            rows = known if self.rows is None else self.rows
        connection.execute(*self.run.record.note(Batch(rows, rows, archived, size)))

    def _keeps(self, partition: Partition) -> str | None:
        """Why rows of it must not be deleted."""
        connection = self.run.connection
        connection.execute(sql.get("maintenance/retention/lock_shared"))
        itself = Relation(partition.oid, partition.schema, partition.name)
        active = holds.active(connection, self.table)
        if holds.rows_on_hold(connection, itself, compose.SQL("true"), active) > 0:
            return f"a hold covers rows of {partition}"
        if partition.may_hold_minus_infinity and self._has_endless(partition):
            return f"{partition} holds rows whose {self.column} is infinite, which never expire"
        return None

    def _has_endless(self, partition: Partition) -> bool:
        statement = compose.SQL(sql.get("maintenance/retention/has_endless")).format(
            table=partition.identifier, column=compose.Identifier(self.column)
        )
        return bool(scalar(self.run.connection, statement))

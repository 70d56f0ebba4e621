"""Days of rows that are partitions: made ahead, and removed whole once all of a day has expired."""

from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

import psycopg
from psycopg import sql as compose

import sql
from ops_pipeline import policy
from ops_pipeline.database import Connection, row
from ops_pipeline.maintenance import holds
from ops_pipeline.maintenance.archive.part import Part, total_rows
from ops_pipeline.maintenance.catalog import Relation
from ops_pipeline.maintenance.history import Batch
from ops_pipeline.maintenance.partitions import (
    LockedError,
    Partition,
    StraysStayError,
    ahead,
    drop,
    expired,
    pending,
    strays,
)
from ops_pipeline.maintenance.planned import Planned
from ops_pipeline.maintenance.removal.archiving import Archiving
from ops_pipeline.maintenance.sweep import Run


def prepare(run: Run, rule: policy.Retention, table: Relation, before: datetime) -> list[str]:
    """Brings the table's partitions in order, each step in transactions of its own: interrupted detaches
    are completed, the days to come created, and rows moved whose day had no partition.

    Says what could not be done because others held the table; what is not made today is made tomorrow.
    """
    pending.finalize(run.connection, table)
    if rule.partition is None:
        return []
    undone: list[str] = []
    try:
        created = ahead.ensure_ahead(run.connection, str(table), rule.ahead.days)
        home = strays.settle(run.connection, str(table), before, rule.ahead.days)
    except (LockedError, StraysStayError, psycopg.errors.LockNotAvailable) as error:
        undone.append(str(error))
        run.report(f"{rule.name}: {error}")
    else:
        run.report(f"{rule.name}: {created} partitions created ahead, {home.rows:,} stray rows brought home")
    return undone


def remove_days(
    run: Run, table: Relation, column: str, planned: Planned, archiving: Archiving | None
) -> str | None:
    """Removes the partitions that hold nothing but expired rows; why it stopped early, if it did.

    One that cannot go as a whole, because somebody holds a row of it or is in its way, is left to be
    emptied row by row.
    """
    before = planned.cutoff
    if before is None:
        return None
    going = [
        *drop.leftovers(run.connection, table, before),
        *expired.whole(run.connection, table, column, before),
    ]
    for partition in going:
        if (reason := run.asked_to_stop()) is not None:
            return reason
        day = _Day(run, table, partition, _rows(planned, partition), archiving)
        run.report(f"{run.record.policy}: {day.remove()}")
    return None


def _rows(planned: Planned, partition: Partition) -> int | None:
    """How many rows the partition had when they were counted."""
    if not planned.exact:
        return None
    counted = {share.table: share.total for share in planned.partitions}
    return counted.get(str(partition))


@dataclass(slots=True)
class _Day:
    """One partition on its way out."""

    run: Run
    table: Relation
    partition: Partition
    rows: int | None
    archiving: Archiving | None
    _parts: list[Part] = field(default_factory=list)

    def remove(self) -> str:
        """Removes it if it may go, and says what came of it. Its files count once it is dropped."""
        try:
            gone = drop.remove(
                self.run.connection,
                self.table,
                self.partition,
                archive=None if self.archiving is None else partial(self._copy, self.archiving),
                in_drop=self._note,
                is_held=self._is_held,
            )
        except psycopg.OperationalError as error:
            # Without a SQLSTATE nobody knows whether it was committed; the next run finds out.
            if error.sqlstate is not None:
                self._discard()
            raise
        except BaseException:
            self._discard()
            raise
        if isinstance(gone, drop.Kept):
            self._discard()
            return f"{gone.reason}; it is emptied row by row"
        if self.archiving is not None:
            self.archiving.archive.publish(self.run.connection, self._parts)
        return f"{self.partition} is dropped, {gone.bytes:,} bytes"

    def _copy(self, archiving: Archiving, partition: Partition) -> None:
        self._parts += archiving.copy(partition)

    def _discard(self) -> None:
        if self.archiving is not None:
            self.archiving.archive.discard(self._parts)

    def _note(self, connection: Connection) -> None:
        """What is written down in the dropping transaction."""
        connection.execute(sql.get("session/durable"))
        known, size = row(connection, sql.get("partitions/size"), {"oid": self.partition.oid})
        archived = total_rows(self._parts)
        if self.archiving is not None:
            rows = archived
            if self._parts:
                connection.execute(self.archiving.archive.insert_statement(self._parts))
        else:
            rows = known if self.rows is None else self.rows
        connection.execute(*self.run.record.note(Batch(rows, rows, archived, size)))

    def _is_held(self, partition: Partition) -> bool:
        connection = self.run.connection
        connection.execute(sql.get("holds/lock_shared"))
        itself = Relation(partition.oid, partition.schema, partition.name)
        active = holds.active(connection, self.table)
        return holds.held_rows(connection, itself, compose.SQL("true"), active) > 0

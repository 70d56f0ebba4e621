"""Rows that have grown too old."""

from dataclasses import dataclass
from datetime import datetime

from psycopg import sql as compose

import sql
from ops_pipeline import policy
from ops_pipeline.database import Connection, row, scalar
from ops_pipeline.maintenance import catalog, partitions
from ops_pipeline.maintenance.history import Record
from ops_pipeline.maintenance.result import Work
from ops_pipeline.maintenance.sweep import Batch, Position, Report, Sizes, Stop, work_through


def cutoff(connection: Connection, rule: policy.Retention) -> datetime:
    """The moment before which the rule's rows are too old, by the server's clock."""
    moment: datetime = scalar(connection, sql.get("retention/cutoff"), {"keep": rule.keep})
    return moment


def remove_expired(
    connection: Connection, rule: policy.Retention, record: Record, *, stop: Stop, report: Report
) -> Work:
    """Removes the rows that are older than the rule keeps them. A row without a time stays.

    Where the policy says that days are partitions, those of the days to come are created first.
    """
    table = catalog.relation(connection, rule.table)
    before = cutoff(connection, rule)
    record.note_cutoff(connection, before)
    if rule.partition == "day":
        created = partitions.ensure_ahead(connection, str(table))
        report(f"{rule.name}: {created} day partitions created ahead")
    dead_before = catalog.dead_tuples(connection, table)
    sweep = ExpiredRows(connection, table, rule.column, before)
    stopped_reason = work_through(connection, sweep, record, stop=stop, report=report)
    rows, oldest = left(connection, rule, before)
    return Work(stopped_reason, rows, oldest, dead_before, catalog.dead_tuples(connection, table))


def due(connection: Connection, rule: policy.Retention) -> datetime:
    """The moment before which no row should be left now.

    Rows expire all day and go at night, so it is the cutoff of the last complete run; when there has
    been none for 25 hours, it is the cutoff of this moment, and what has piled up shows.
    """
    last = connection.execute(sql.get("retention/last_cutoff"), {"policy": rule.name}).fetchone()
    return cutoff(connection, rule) if last is None else last[0]


def left(connection: Connection, rule: policy.Retention, before: datetime) -> tuple[int, datetime | None]:
    """How many expired rows there are, and the oldest row of the table."""
    table = catalog.relation(connection, rule.table)
    statement = compose.SQL(sql.get("retention/left")).format(
        table=table.identifier, column=compose.Identifier(rule.column)
    )
    rows, oldest = row(connection, statement, {"cutoff": before})
    return rows, oldest


@dataclass(frozen=True, slots=True)
class _Range:
    """Blocks `first` to `after`, the latter not included, of one heap."""

    heap: catalog.Heap
    first: int
    after: int


class ExpiredRows:
    """Walks the heaps of a table by ranges of blocks. A position is [schema, heap, next block]."""

    sizes = Sizes(first=256, least=8, most=16_384)  # blocks of 8 KiB: 2 MiB, 64 KiB, 128 MiB

    def __init__(
        self, connection: Connection, table: catalog.Relation, column: str, before: datetime
    ) -> None:
        self._connection = connection
        self._column = column
        self._before = before
        self._heaps = [
            heap
            for heap in catalog.heaps(connection, table, column)
            if heap.blocks > 0 and (heap.lower is None or heap.lower < before)
        ]

    def batch(self, after: Position | None, until: Position | None, size: int, *, skip_locked: bool) -> Batch:
        found = self._next_range(after, until, size)
        if found is None:
            return Batch(0, 0, None)
        statement = "retention/delete_range_unlocked" if skip_locked else "retention/delete_range"
        examined, removed = row(
            self._connection,
            compose.SQL(sql.get(statement)).format(
                table=found.heap.identifier, column=compose.Identifier(self._column)
            ),
            {"first": f"({found.first},0)", "after": f"({found.after},0)", "cutoff": self._before},
        )
        return Batch(examined, removed, [found.heap.schema, found.heap.name, found.after])

    def _next_range(self, after: Position | None, until: Position | None, size: int) -> _Range | None:
        for heap in self._heaps:
            first = 0
            if after is not None and (heap.schema, heap.name) <= (after[0], after[1]):
                if (heap.schema, heap.name) != (after[0], after[1]):
                    continue
                first = after[2]
            last = heap.blocks
            if until is not None and (heap.schema, heap.name) >= (until[0], until[1]):
                if (heap.schema, heap.name) != (until[0], until[1]):
                    return None
                last = min(last, until[2])
            if first < last:
                return _Range(heap, first, min(first + size, last))
        return None

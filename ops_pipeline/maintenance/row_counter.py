"""Counts or estimates how many rows of one table a policy would delete."""

import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql as compose

import sql
from ops_pipeline.holds import holds
from ops_pipeline.maintenance import references
from ops_pipeline.maintenance.batches.scans import and_, target
from ops_pipeline.maintenance.plan import PartitionCount, PlannedDeletion, RowCount, fraction, is_migrated
from ops_pipeline.postgres import catalog
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.postgres.relation import Relation
from ops_pipeline.postgres.time_limit import time_limit

SAMPLE_ROWS = 20_000
SAMPLE_SECONDS = 5.0
"""How long a sample of about SAMPLE_ROWS is counted, where counting all rows took too long."""
HEAP = compose.SQL("target.tableoid::bigint")
EACH_ONCE = compose.SQL("OFFSET 0")
"""Where a row's fate depends on other tables, it is evaluated once per row and not once for each number."""
COUNT_EXACTLY_BYTES = 64 * 1024 * 1024
"""Up to this size all rows of a table are counted for the guard; above it an estimate is close enough."""
OLDEST_SECONDS = 1.0
"""How long the oldest row is searched for where the rows could not be counted; an index finds it at once."""


class RowCounter:
    """Counts the expired or orphaned rows of one table, and why some of them are kept. It only reads.

    `fragments` are for the statement that counts; `condition` (expired or orphaned) and `null` are conditions
    over the alias `target`. Rows that the policies `before` delete do not keep the rows they refer to. Raises
    HoldUnclearError and psycopg.Error.
    """

    def __init__(
        self,
        connection: Connection,
        table: Relation,
        fragments: Mapping[str, compose.Composable],
        *,
        condition: compose.Composable,
        null: compose.Composable,
        before: Sequence[PlannedDeletion] = (),
    ) -> None:
        self._connection = connection
        self.table = table
        self._condition = condition
        self._null = null
        self._unheld = holds.exclusion(holds.active(connection, table) if is_migrated(connection) else ())
        self._unreferenced = references.unreferenced(connection, table, before)
        self._fragments = {
            **fragments,
            "rows": catalog.local_rows(connection, table),
            "heap": HEAP if catalog.is_partitioned(connection, table) else compose.Literal(table.oid),
            "unheld": self._unheld,
            "unreferenced": self._unreferenced,
            "each_once": compose.SQL("") if self._unreferenced == references.EVERYTHING else EACH_ONCE,
        }

    @property
    def deleted(self) -> compose.Composed:
        """The rows that would be deleted, as a condition over the alias `target`."""
        return and_(self._condition, self._unheld, self._unreferenced)

    def count(self, statement: str, limit_seconds: float) -> RowCount | None:
        """The exact count; None when it took too long."""
        rows = self.within(limit_seconds, compose.SQL(sql.get(statement)).format(**self._fragments))
        return None if rows is None else self._tally(rows)

    def eligible(self) -> int:
        """How many rows would be deleted: an exact count without a time limit."""
        return self._number(self.deleted)

    def of_table(self, eligible: int) -> RowCount:
        """The row count for a known number of eligible rows; the total of a large table is estimated."""
        total = catalog.expected_rows(self._connection, self.table)
        exact = total < eligible or catalog.size(self._connection, self.table) <= COUNT_EXACTLY_BYTES
        if exact:
            total = max(eligible, self._number(compose.SQL("true")))
        size = sum(size for _, size in self._sizes().values())
        return RowCount(eligible, total, total_exact=exact, bytes=round(size * fraction(eligible, total)))

    def estimate(self) -> RowCount:
        """An estimate from a sample. Where even that takes too long, all rows count as eligible."""
        total = catalog.expected_rows(self._connection, self.table)
        sample = self._sample(total)
        sampled, deleted, on_hold, null = sample if sample is not None and sample[0] > 0 else (1, 1, 0, 0)
        share = fraction(deleted, sampled)
        size = sum(size for _, size in self._sizes().values())
        return RowCount(
            round(total * share),
            total,
            null=round(total * fraction(null, sampled)),
            exact=False,
            bytes=round(size * share),
            on_hold=round(total * fraction(on_hold, sampled)),
        )

    def oldest(self, column: str, before: datetime) -> datetime | None:
        """The time of the oldest expired row, if it is found in OLDEST_SECONDS; else None."""
        statement = compose.SQL(sql.get("maintenance/oldest")).format(
            rows=self._fragments["rows"], column=target(column), cutoff=compose.Literal(before)
        )
        rows = self.within(OLDEST_SECONDS, statement)
        moment: datetime | None = rows[0][0] if rows else None
        return moment if moment is not None and moment.year > 1 else None

    def _tally(self, rows: Iterable[tuple[Any, ...]]) -> RowCount:
        sizes = self._sizes()
        totals: dict[int, int] = {}
        fates: dict[tuple[int, str], int] = {}
        oldest, newest, oldest_row = None, None, None
        for heap, fate, count, first, last in rows:
            totals[heap] = totals.get(heap, 0) + count
            fates[heap, fate] = count
            if first is not None and fate == "deleted":
                oldest, newest = min(oldest or first, first), max(newest or last, last)
            if first is not None:
                oldest_row = min(oldest_row or first, first)
        deleted = {heap: fates.get((heap, "deleted"), 0) for heap in totals}
        size = sum(sizes[heap][1] * fraction(rows, totals[heap]) for heap, rows in deleted.items())
        partitions = [
            PartitionCount(sizes[heap][0], rows, totals[heap])
            for heap, rows in deleted.items()
            if rows > 0 and heap != self.table.oid
        ]
        return RowCount(
            sum(deleted.values()),
            sum(totals.values()),
            null=_sum_of(fates, "null"),
            oldest=oldest,
            newest=newest,
            oldest_row=oldest_row,
            bytes=round(size),
            on_hold=_sum_of(fates, "on_hold"),
            referenced=_sum_of(fates, "referenced"),
            partitions=tuple(sorted(partitions, key=lambda count: count.partition.table_name)),
        )

    def within(self, seconds: float, statement: compose.Composed) -> list[tuple[Any, ...]] | None:
        """The rows of the statement; None when it took too long."""
        began = time.monotonic()
        try:
            with time_limit(self._connection, seconds):
                return self._connection.execute(statement).fetchall()
        except psycopg.errors.QueryCanceled:
            # An operator's cancel has the same SQLSTATE, but comes before the timeout.
            if time.monotonic() - began < seconds:
                raise
            return None

    def _number(self, condition: compose.Composable) -> int:
        statement = compose.SQL(sql.get("maintenance/count")).format(
            rows=self._fragments["rows"], condition=condition
        )
        return int(scalar(self._connection, statement))

    def _sample(self, total: int) -> tuple[int, ...] | None:
        clause = compose.SQL("TABLESAMPLE SYSTEM ({}) REPEATABLE (0)").format(
            compose.Literal(min(100.0, 100.0 * SAMPLE_ROWS / max(1, total)))
        )
        sample = catalog.local_rows(self._connection, self.table, clause)
        statement = compose.SQL(sql.get("maintenance/sample")).format(
            sample=sample,
            condition=self._condition,
            unheld=self._unheld,
            unreferenced=self._unreferenced,
            null=self._null,
        )
        rows = self.within(SAMPLE_SECONDS, statement)
        return None if rows is None else rows[0]

    def _sizes(self) -> dict[int, tuple[Relation, int]]:
        rows = self._connection.execute(sql.get("maintenance/sizes"), {"oid": self.table.oid})
        return {oid: (Relation(oid, schema, name), size) for oid, schema, name, size in rows}


def _sum_of(fates: Mapping[tuple[int, str], int], wanted: str) -> int:
    return sum(count for (_, fate), count in fates.items() if fate == wanted)

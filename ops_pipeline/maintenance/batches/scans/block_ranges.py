"""The block-range scan: reads a table by ranges of blocks (TIDs), each once, without an index."""

from collections.abc import Sequence

from psycopg import sql as compose

from ops_pipeline.maintenance.batches.scans import Position, ScanRange, and_
from ops_pipeline.postgres.catalog import Heap
from ops_pipeline.throttle.batch_size import Sizes

UNESTIMATED = "coalesce({}, false)"
"""Hides a comparison from PostgreSQL's planner. To estimate it, the planner would read the end of an index on
the column, where each batch leaves more entries of deleted rows."""


class BlockRangeScan:
    """Scans heaps by blocks, in the order given. A position is [schema, heap, next block].

    `predicate`: the deletable rows, over the alias `target`. `rows`: about how many rows the table has, for
    reporting progress. A row that is written before the position reached is left to the next run.
    """

    name = "block-range scan"
    sizes = Sizes(first=256, least=8, most=65_536, unit="blocks")  # 2 MiB, 64 KiB, 512 MiB

    def __init__(self, heaps: Sequence[Heap], predicate: compose.Composable, *, rows: int) -> None:
        self._heaps = [heap for heap in heaps if heap.blocks > 0]
        self._predicate = predicate
        self._rows_a_block = rows / max(1, sum(heap.blocks for heap in self._heaps))

    def next_range(self, after: Position | None, until: Position | None, size: int) -> ScanRange | None:
        """The next range of blocks."""
        for heap in self._heaps:
            first, end = _bounds(heap, after, until)
            if first < end:
                return self._range(heap, first, min(first + size, end))
        return None

    def _range(self, heap: Heap, first: int, end: int) -> ScanRange:
        within = compose.SQL("target.ctid >= {} AND target.ctid < {}").format(_tid(first), _tid(end))
        return ScanRange(
            heap.relation,
            and_(within, compose.SQL(UNESTIMATED).format(self._predicate)),
            [heap.relation.schema, heap.relation.name, end],
            round((end - first) * self._rows_a_block),
        )


def _bounds(heap: Heap, after: Position | None, until: Position | None) -> tuple[int, int]:
    """The blocks of the heap between two positions; empty unless the first number is below the second."""
    name = [heap.relation.schema, heap.relation.name]
    first, end = 0, heap.blocks
    if after is not None and name <= after[:2]:
        first = after[2] if name == after[:2] else end
    if until is not None and name >= until[:2]:
        end = min(end, until[2]) if name == until[:2] else 0
    return first, end


def _tid(block: int) -> compose.Composed:
    return compose.SQL("{}::tid").format(compose.Literal(f"({block},0)"))

"""The scans of an orphans policy: over a child table to find orphans, and over those found to delete them."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from psycopg import sql as compose

import sql
from ops_pipeline.maintenance.batches.scans import Position, ScanRange, and_
from ops_pipeline.maintenance.batches.scans.block_ranges import BlockRangeScan
from ops_pipeline.maintenance.orphans.reference import Reference
from ops_pipeline.postgres import catalog
from ops_pipeline.postgres.connection import Connection, row
from ops_pipeline.postgres.relation import Relation
from ops_pipeline.throttle.batch_size import Sizes


class Children(BlockRangeScan):
    """Scans the child's blocks, each once. A range's condition only says that a row refers to a parent."""

    sizes = Sizes(first=2_048, least=64, most=262_144, unit="blocks")  # 16 MiB, 512 KiB, 2 GiB

    def __init__(self, connection: Connection, reference: Reference) -> None:
        super().__init__(
            catalog.heaps(connection, reference.child, reference.columns[0]),
            reference.refers,
            rows=catalog.live_tuples(connection, reference.child)
            or catalog.expected_rows(connection, reference.child),
        )


class ChildrenBesideAll(Children):
    """The same where all `parents` are read for each batch, which therefore has at least as many children."""

    def __init__(self, connection: Connection, reference: Reference, parents: int) -> None:
        super().__init__(connection, reference)
        of_parents = round(parents / max(1.0, self._rows_a_block))
        least = min(self.sizes.most, max(self.sizes.least, of_parents))
        first = min(self.sizes.most, max(self.sizes.first, 10 * of_parents))
        self.sizes = Sizes(first, least, self.sizes.most, unit="blocks")


@dataclass
class MissingParents:
    """Scans the listed missing parents; a range is the children of some of them, found by index.

    A position is [the id of a row of ops.missing_parents]. `which`: the parents, over the alias `missing`;
    `deletable`: which of their children are deleted, over the alias `target`.
    """

    name = "missing parents"
    sizes = Sizes(first=4_000, least=100, most=200_000)  # children

    connection: Connection
    reference: Reference
    which: compose.Composable
    deletable: compose.Composable

    def next_range(self, after: Position | None, until: Position | None, size: int) -> ScanRange | None:
        """The children, about `size`, of the next missing parents."""
        first = (after or [0])[0]
        last = self._next("maintenance/orphans/next_missing", first, until, size)[0]
        if last is None:
            return None
        still = and_(_numbered(first, last), self.which, self.reference.key_missing)
        condition = and_(self.reference.refers_to(still), self.deletable)
        return ScanRange(self.reference.child, condition, [last], scanned=0)

    def _next(self, statement: str, first: int, until: Position | None, size: int) -> tuple[Any, ...]:
        values = {
            "policy": self.reference.policy, "after": first, "until": (until or [2**62])[0], "size": size
        }  # fmt: skip
        return row(self.connection, compose.SQL(sql.get(statement)).format(listed=self.which), values)


class MarkedOrphans(MissingParents):
    """Scans the orphans that a sweep has marked, by their ctids, in the order of their blocks.

    A row that is there now is deleted only if its parent is still one of those listed and still missing.
    """

    name = "marked orphans"

    @cached_property
    def _heaps(self) -> dict[int, Relation]:
        heaps = catalog.heaps(self.connection, self.reference.child, self.reference.columns[0])
        return {heap.relation.oid: heap.relation for heap in heaps}

    def next_range(self, after: Position | None, until: Position | None, size: int) -> ScanRange | None:
        """The next marked orphans, about `size`, of one heap. A heap that no longer exists is skipped."""
        first = (after or [0])[0]
        while True:
            heap, last = self._next("maintenance/orphans/next_marked", first, until, size)
            if last is None:
                return None
            if heap in self._heaps:
                return self._between(self._heaps[heap], first, last)
            first = last

    def _between(self, heap: Relation, first: int, last: int) -> ScanRange:
        these = and_(_numbered(first, last), self.which)
        places = compose.SQL(sql.get("maintenance/orphans/at_places")).format(
            policy=compose.Literal(self.reference.policy), listed=these
        )
        # Each parent is looked up once for all its children.
        missed = _children_of(self.reference, and_(these, self.reference.key_missing))
        return ScanRange(heap, and_(places, missed, self.deletable), [last], scanned=0)


class MissingParentsByBlocks(BlockRangeScan):
    """Scans the child's blocks for children of the listed parents: without an index, or where many exist."""

    name = "missing parents by blocks"

    def __init__(
        self,
        connection: Connection,
        reference: Reference,
        which: compose.Composable,
        deletable: compose.Composable,
    ) -> None:
        super().__init__(catalog.heaps(connection, reference.child, reference.columns[0]), deletable, rows=0)
        self._reference = reference
        self._which = which

    def _range(self, heap: catalog.Heap, first: int, end: int) -> ScanRange:
        scan_range = super()._range(heap, first, end)
        children = _children_of(self._reference, self._which)
        return replace(scan_range, condition=and_(scan_range.condition, children))


class NullReferences(BlockRangeScan):
    """Scans the child's blocks for rows that refer to nothing."""

    name = "NULL references"

    def __init__(self, connection: Connection, reference: Reference, deletable: compose.Composable) -> None:
        heaps = catalog.heaps(connection, reference.child, reference.columns[0])
        super().__init__(heaps, and_(reference.refers_to_nothing, deletable), rows=0)


def _numbered(first: int, last: int) -> compose.Composed:
    return compose.SQL("missing.id > {} AND missing.id <= {}").format(
        compose.Literal(first), compose.Literal(last)
    )


def _children_of(reference: Reference, which: compose.Composable) -> compose.Composed:
    """The row refers to one of the parents listed."""
    # IS TRUE prevents PostgreSQL from planning it as a join: it expects ten keys in each row of missing
    # parents, and would compare every row of the range with every key instead of hashing them.
    return compose.SQL("({}) IS TRUE").format(reference.refers_to(which))

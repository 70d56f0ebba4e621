"""The action of a sweep: lists a range's orphans and their missing parents, and deletes nothing."""

from dataclasses import dataclass

from psycopg import sql as compose

import sql
from ops_pipeline.maintenance.batches.actions import BatchLimits, limit_statement, progress_statements
from ops_pipeline.maintenance.batches.scans import ScanRange, listed
from ops_pipeline.maintenance.history import Batch, Record
from ops_pipeline.maintenance.orphans.reference import Reference
from ops_pipeline.maintenance.orphans.scans import Children, ChildrenBesideAll
from ops_pipeline.postgres import catalog
from ops_pipeline.postgres.connection import Connection, row, scalar

TARGET_SECONDS = 5.0
"""How long a batch should take. It locks no rows, so it may take longer than one that deletes."""
WORK_MEM = "64MB"
"""For a hash of the parents, which may take twice that; with the default, 100,000 of them spill to disk."""
HASHED_PARENTS = 1_500_000
"""Up to this many parents are hashed for each batch, which takes half a second and fits `WORK_MEM`."""


@dataclass(frozen=True, slots=True)
class Search:
    """How the orphans of a table are found, and why in this way."""

    children: Children
    why: str

    @property
    def by_key(self) -> bool:
        """Whether each parent that a range refers to is looked up, instead of reading all parents."""
        return not isinstance(self.children, ChildrenBesideAll)


def choose_search(connection: Connection, reference: Reference) -> Search:
    """Chooses how to find the orphans of that reference, by the estimated size of its parent."""
    parents = catalog.expected_rows(connection, reference.parent)
    if reference.parent_index is None or parents <= HASHED_PARENTS:
        why = f"{reference.parent} is small enough to be read for each batch"
        return Search(ChildrenBesideAll(connection, reference, parents), why)
    why = f"{reference.parent} has about {parents:,} rows, so its index is used"
    return Search(Children(connection, reference), why)


@dataclass(frozen=True, slots=True)
class Mark:
    """The action that lists orphans instead of deleting them. `by_key`: as in `Search`."""

    connection: Connection
    record: Record
    reference: Reference
    by_key: bool

    def remove(self, scan_range: ScanRange, limits: BatchLimits) -> int:
        """Lists the orphans of the range, and returns how many they are."""
        planning = {"work_mem": WORK_MEM, "all_parents": "off" if self.by_key else "on"}
        values = {"policy": self.reference.policy, "heap": scan_range.heap.oid}
        with self.connection.transaction():
            *_, wal = row(self.connection, *limit_statement(limits, synchronous_commit=False))
            self.connection.execute(sql.get("maintenance/orphans/planning"), planning)
            marked = int(scalar(self.connection, self._statement(scan_range), values))
            batch = Batch(scan_range.scanned, 0, wal=wal)
            for statement in progress_statements(self.record, batch, scan_range, limits):
                self.connection.execute(*statement)
        return marked

    def _statement(self, scan_range: ScanRange) -> compose.Composed:
        name = "orphaned_by_key" if self.by_key else "orphaned_by_row"
        orphaned = compose.SQL(sql.get(f"maintenance/orphans/{name}")).format(
            keys=listed(self.reference.keys),
            keys_of_row=self.reference.keys_of_row,
            heap=scan_range.heap.identifier,
            range=scan_range.condition,
            grouped=listed(self.reference.key_of_row),
            missing=self.reference.missing,
            key_missing=self.reference.key_missing,
        )
        return compose.SQL(sql.get("maintenance/orphans/mark")).format(
            keys=self.reference.gathered_once, orphaned=orphaned
        )

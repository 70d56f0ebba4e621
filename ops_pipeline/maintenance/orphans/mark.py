"""A window's orphans marked: where they lie and which parents they miss is listed, and nothing is removed."""

from dataclasses import dataclass

from psycopg import sql as compose

import sql
from ops_pipeline.maintenance.batches.actions import BatchLimits, limits, records
from ops_pipeline.maintenance.batches.scans import ScanRange, listed
from ops_pipeline.maintenance.history import Batch, Record
from ops_pipeline.maintenance.orphans.reference import Reference
from ops_pipeline.maintenance.orphans.scans import Children, ChildrenBesideAll
from ops_pipeline.postgres import catalog
from ops_pipeline.postgres.connection import Connection, row, scalar

TARGET_SECONDS = 5.0
"""How long a window should take. Nobody waits behind it, so it may be longer than one that removes."""
WORK_MEM = "64MB"
"""For a hash of the parents, which may take twice that; by its default PostgreSQL would spill at 100,000."""
HASHED_PARENTS = 1_500_000
"""Up to so many are read into a hash for each window: that takes half a second and fits `WORK_MEM`."""


@dataclass(frozen=True, slots=True)
class Search:
    """How the orphans of a table are found, and why so."""

    children: Children
    why: str

    @property
    def by_key(self) -> bool:
        """Each parent that a window names is looked up, instead of reading all of them."""
        return not isinstance(self.children, ChildrenBesideAll)


def search(connection: Connection, reference: Reference) -> Search:
    """How to find the orphans of that reference, by what the statistics say of its parent."""
    parents = catalog.expected_rows(connection, reference.parent)
    if reference.parent_index is None or parents <= HASHED_PARENTS:
        why = f"{reference.parent} is small enough to be read beside each"
        return Search(ChildrenBesideAll(connection, reference, parents), why)
    why = f"{reference.parent} has about {parents:,} rows, so that its index is asked instead of all of it"
    return Search(Children(connection, reference), why)


@dataclass(frozen=True, slots=True)
class Marking:
    """Stands where a remover does. `by_key`: as `Search` has it."""

    connection: Connection
    record: Record
    reference: Reference
    by_key: bool

    def remove(self, window: ScanRange, terms: BatchLimits) -> int:
        """Lists the window's orphans, and says how many they are."""
        planning = {"work_mem": WORK_MEM, "all_parents": "off" if self.by_key else "on"}
        values = {"policy": self.reference.policy, "heap": window.heap.oid}
        with self.connection.transaction():
            *_, wal = row(self.connection, *limits(terms, synchronous_commit=False))
            self.connection.execute(sql.get("maintenance/orphans/planning"), planning)
            marked = int(scalar(self.connection, self._statement(window), values))
            for note in records(self.record, Batch(window.examined, 0, wal=wal), window, terms):
                self.connection.execute(*note)
        return marked

    def _statement(self, window: ScanRange) -> compose.Composed:
        keys = listed(self.reference.keys)
        found = (
            "maintenance/orphans/orphaned_by_key" if self.by_key else "maintenance/orphans/orphaned_by_row"
        )
        orphaned = compose.SQL(sql.get(found)).format(
            keys=keys,
            keys_of_row=self.reference.keys_of_row,
            heap=window.heap.identifier,
            window=window.condition,
            grouped=listed(self.reference.of_row),
            missing=self.reference.missing,
            key_missing=self.reference.key_missing,
        )
        return compose.SQL(sql.get("maintenance/orphans/mark")).format(
            keys=self.reference.gathered_once, orphaned=orphaned
        )

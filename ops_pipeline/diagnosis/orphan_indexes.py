"""Orphans policies that scan whole tables because an index is missing."""

from collections.abc import Iterator

from ops_pipeline.diagnosis.diagnosis import Diagnosis, Examination
from ops_pipeline.finding import Finding
from ops_pipeline.maintenance.orphans.indexes import missing_indexes
from ops_pipeline.maintenance.orphans.policy import Orphans
from ops_pipeline.maintenance.orphans.reference import find_reference


def _find(examined: Examination) -> Iterator[Finding]:
    for policy, _, _ in examined.deleting():
        if isinstance(policy, Orphans):
            yield from missing_indexes(examined.connection, find_reference(examined.connection, policy))


ORPHAN_INDEXES = Diagnosis(
    id="orphan_indexes",
    severity="warning",
    question="Do the columns that an orphans policy compares lead an index?",
    remedy="Run `CREATE INDEX CONCURRENTLY` on the columns of the child and of the parent.",
    find=_find,
)

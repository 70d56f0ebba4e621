"""Foreign keys without an index on the referencing columns."""

from collections.abc import Iterator

from ops_pipeline.diagnosis.diagnosis import Diagnosis, Examination
from ops_pipeline.finding import Finding
from ops_pipeline.maintenance import references


def _find(examined: Examination) -> Iterator[Finding]:
    for _, table, _ in examined.deleting():
        yield from references.unindexed(examined.connection, table)


FOREIGN_KEY_INDEXES = Diagnosis(
    id="foreign_key_indexes",
    severity="error",
    question="Do the foreign keys that refer to the policies' tables have an index on their columns?",
    remedy="Run `CREATE INDEX CONCURRENTLY` on the referencing columns.",
    find=_find,
)

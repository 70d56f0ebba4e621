"""What keeps foreign keys from doing what they say ON DELETE."""

from collections.abc import Iterator

from ops_pipeline.diagnosis.diagnosis import Diagnosis, Examination
from ops_pipeline.finding import Finding
from ops_pipeline.maintenance import references, refusals


def _find(examined: Examination) -> Iterator[Finding]:
    for _, table, _ in examined.deleting():
        yield from references.silent(examined.connection, table)
        yield from refusals.voided_keys(examined.connection, table)


VOIDED_KEYS = Diagnosis(
    id="voided_keys",
    severity="error",
    question="Can foreign keys do what they say `ON DELETE`?",
    remedy="Switch the key's own trigger on, let that of the referring table return a row, `DROP RULE`, "
    "`DROP NOT NULL`, or make the foreign key `NO ACTION`.",
    find=_find,
)

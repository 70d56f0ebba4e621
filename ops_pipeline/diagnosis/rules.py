"""Rules ON DELETE, which keep rows or delete others."""

from collections.abc import Iterator

from ops_pipeline.diagnosis.diagnosis import Diagnosis, Examination
from ops_pipeline.finding import Finding
from ops_pipeline.maintenance import refusals


def _find(examined: Examination) -> Iterator[Finding]:
    for _, table, _ in examined.deleting():
        yield from refusals.rules(examined.connection, table)


RULES = Diagnosis(
    id="rules",
    severity="error",
    question="Does a DELETE from the policies' tables delete, and nothing else?",
    remedy="`DROP RULE`; a trigger does the same in a way that a run can see.",
    find=_find,
)

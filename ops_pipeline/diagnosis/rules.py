"""Rules ON DELETE, which may keep rows or delete others."""

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
    question="Do the policies' tables have no rules ON DELETE?",
    remedy="Drop the rule: `DROP RULE name ON table`. If you need its effect, use a trigger: a run reports "
    "the rows that a trigger keeps.",
    find=_find,
)

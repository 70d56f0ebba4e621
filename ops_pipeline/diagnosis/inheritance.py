"""Tables that have inheritance children."""

from collections.abc import Iterator

from ops_pipeline.diagnosis.diagnosis import Diagnosis, Examination
from ops_pipeline.finding import Finding
from ops_pipeline.maintenance import refusals


def _find(examined: Examination) -> Iterator[Finding]:
    for _, table, parent in examined.deleting():
        yield from refusals.inheritance(examined.connection, table, parent)


INHERITANCE = Diagnosis(
    id="inheritance",
    severity="error",
    question="Do the policies' tables have no inheritance children?",
    remedy="Run `ALTER TABLE child NO INHERIT parent`, and add a policy for each child.",
    find=_find,
)

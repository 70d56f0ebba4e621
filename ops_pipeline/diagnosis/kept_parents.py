"""Triggers that may keep rows whose children `cascade: archive` deletes first."""

from collections.abc import Iterator

from ops_pipeline.diagnosis.diagnosis import Diagnosis, Examination
from ops_pipeline.finding import Finding
from ops_pipeline.maintenance import refusals


def _find(examined: Examination) -> Iterator[Finding]:
    for policy, table, _ in examined.deleting():
        if policy.cascade == "archive":
            yield from refusals.kept_parents(examined.connection, table)


KEPT_PARENTS = Diagnosis(
    id="kept_parents",
    severity="error",
    question="Do rows go whose children `cascade: archive` deletes first?",
    remedy="`cascade: delete` in the policy, or `ALTER TABLE … DISABLE TRIGGER …`.",
    find=_find,
)

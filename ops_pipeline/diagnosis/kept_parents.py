"""Triggers that may keep a row after `cascade: archive` has deleted its children."""

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
    question="Are rows always deleted after `cascade: archive` has deleted their children?",
    remedy="Set `cascade: delete` in the policy, or run `ALTER TABLE … DISABLE TRIGGER …`.",
    find=_find,
)

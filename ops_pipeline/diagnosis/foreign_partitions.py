"""Partitions that are foreign tables."""

from collections.abc import Iterator

from ops_pipeline.diagnosis.diagnosis import Diagnosis, Examination
from ops_pipeline.finding import Finding
from ops_pipeline.maintenance import refusals
from ops_pipeline.maintenance.retention import plan


def _find_refused(examined: Examination) -> Iterator[Finding]:
    for _, table, parent in examined.deleting():
        if parent is not None:
            yield from refusals.foreign_partitions(examined.connection, table)


def _find_left_alone(examined: Examination) -> Iterator[Finding]:
    for _, table, parent in examined.deleting():
        if parent is None:
            yield from plan.foreign_partitions(examined.connection, table)


FOREIGN_PARTITIONS = Diagnosis(
    id="foreign_partitions",
    severity="error",
    question="Are all partitions of an orphans policy's table local?",
    remedy="Run `ALTER TABLE … DETACH PARTITION …`, or remove the policy and clean the table up on its own "
    "server.",
    find=_find_refused,
)
FOREIGN_PARTITIONS_LEFT = Diagnosis(
    id="foreign_partitions_left",
    severity="info",
    question="Are all partitions of a retention policy's table local?",
    remedy="No action is required: retention skips foreign partitions.",
    find=_find_left_alone,
)

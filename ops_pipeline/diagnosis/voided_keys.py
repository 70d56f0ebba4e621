"""Triggers, rules and constraints that keep foreign keys from carrying out their ON DELETE action."""

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
    question="Can foreign keys carry out their `ON DELETE` action?",
    remedy="Enable the foreign key's own trigger, change the referencing table's trigger to return a row, "
    "`DROP RULE`, `DROP NOT NULL`, or change the foreign key to `NO ACTION`.",
    find=_find,
)

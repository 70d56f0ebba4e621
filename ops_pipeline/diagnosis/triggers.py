"""Triggers on DELETE, which may keep rows or change others."""

from collections.abc import Iterator

from ops_pipeline.diagnosis.diagnosis import Diagnosis, Examination
from ops_pipeline.finding import Finding
from ops_pipeline.maintenance import remaining
from ops_pipeline.maintenance.refusals import disable
from ops_pipeline.postgres import on_delete


def _find_keeping(examined: Examination) -> Iterator[Finding]:
    for _, table, _ in examined.deleting():
        for trigger in on_delete.keeping_triggers(examined.connection, table, on_update=False):
            yield Finding(
                str(trigger.table),
                f"the trigger {trigger} may return NULL, which keeps the row: such rows remain, and each run "
                "ends as stopped. Change it to return OLD for rows that may be deleted, or disable it",
                (disable(examined.connection, trigger),),
            )


def _find_any(examined: Examination) -> Iterator[Finding]:
    for _, table, _ in examined.deleting():
        yield from remaining.triggers(examined.connection, table)


KEEPING_TRIGGERS = Diagnosis(
    id="keeping_triggers",
    severity="warning",
    question="Do triggers allow rows to be deleted?",
    remedy="Change the trigger to return OLD for rows that may be deleted, or run `ALTER TABLE … "
    "DISABLE TRIGGER …` ([why](../runbook.md#rows-remain-after-a-run)).",
    find=_find_keeping,
)
DELETE_TRIGGERS = Diagnosis(
    id="delete_triggers",
    severity="info",
    question="Do the policies' tables have no triggers on DELETE?",
    remedy="No action is required if the trigger's effect is intended: it fires as for any DELETE.",
    find=_find_any,
)

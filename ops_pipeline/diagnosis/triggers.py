"""Triggers on DELETE, which may keep rows or write others."""

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
                f"the trigger {trigger} may return NULL, which keeps a row that is to be deleted: such rows "
                "remain, and each run is stopped. Let it return OLD for rows that may be deleted, or switch "
                "it off",
                (disable(examined.connection, trigger),),
            )


def _find_any(examined: Examination) -> Iterator[Finding]:
    for _, table, _ in examined.deleting():
        yield from remaining.triggers(examined.connection, table)


KEEPING_TRIGGERS = Diagnosis(
    id="keeping_triggers",
    severity="warning",
    question="Do triggers let rows be deleted?",
    remedy="Let the trigger return OLD for rows that may be deleted, or `ALTER TABLE … DISABLE TRIGGER …` "
    "([why](../runbook.md#rows-remain-after-a-run)).",
    find=_find_keeping,
)
DELETE_TRIGGERS = Diagnosis(
    id="delete_triggers",
    severity="info",
    question="Does a DELETE fire no triggers?",
    remedy="Nothing has to be done where the trigger does what it is there for: it runs as for any DELETE.",
    find=_find_any,
)

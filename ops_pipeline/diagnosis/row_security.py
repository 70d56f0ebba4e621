"""Row security that hides rows from maintenance, in its tables or in what their triggers read."""

from collections.abc import Iterator

from ops_pipeline.diagnosis.diagnosis import Diagnosis, Examination
from ops_pipeline.finding import Finding
from ops_pipeline.maintenance import references, remaining
from ops_pipeline.postgres.row_security import hidden_tables


def _find(examined: Examination) -> Iterator[Finding]:
    for _, table, parent in examined.deleting():
        others = [*references.referring(examined.connection, table), *([parent] if parent else [])]
        yield from hidden_tables(examined.connection, [table], others)


def _find_triggers(examined: Examination) -> Iterator[Finding]:
    for _, table, _ in examined.deleting():
        yield from remaining.raising_triggers(examined.connection, table)


ROW_SECURITY = Diagnosis(
    id="row_security",
    severity="error",
    question="Does maintenance see every row of the policies' tables, their parents and the tables that "
    "refer to them?",
    remedy="`ALTER ROLE … BYPASSRLS`, membership in the table's owner, or `NO FORCE ROW LEVEL SECURITY` "
    "where it is forced on the owner ([why](../runbook.md#row-security-hides-rows-from-maintenance)).",
    find=_find,
)
RAISING_TRIGGERS = Diagnosis(
    id="raising_triggers",
    severity="warning",
    question="Do triggers that deletes fire read only tables whose rows they see?",
    remedy="`ALTER ROLE … BYPASSRLS` for the role as which the trigger function runs, or "
    "`ALTER FUNCTION … SET row_security = on`. Which tables a function reads is told by its text.",
    find=_find_triggers,
)

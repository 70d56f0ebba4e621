"""Row security that hides rows from maintenance, in the policies' tables or in tables that triggers read."""

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
    question="Can maintenance read every row of the policies' tables, their parents and the tables that "
    "refer to them?",
    remedy="Run `ALTER ROLE … BYPASSRLS`, grant membership in the table's owner, or set `NO FORCE ROW "
    "LEVEL SECURITY` where it is forced on the owner "
    "([why](../runbook.md#row-security-hides-rows-from-maintenance)).",
    find=_find,
)
RAISING_TRIGGERS = Diagnosis(
    id="raising_triggers",
    severity="warning",
    question="Do triggers on DELETE see every row of the tables that they query?",
    remedy="Run `ALTER ROLE … BYPASSRLS` for the role that the trigger function runs as, or "
    "`ALTER FUNCTION … SET row_security = on`. The tables that a function reads are taken from its source "
    "text.",
    find=_find_triggers,
)

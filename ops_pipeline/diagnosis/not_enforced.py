"""Foreign keys that PostgreSQL does not enforce (from version 18)."""

from collections.abc import Iterator

import sql
from ops_pipeline.diagnosis.diagnosis import Diagnosis, Examination
from ops_pipeline.finding import Finding


def _find(examined: Examination) -> Iterator[Finding]:
    tables = [table.oid for _, table, _ in examined.deleting()]
    for key, child, parent, enforce in examined.connection.execute(
        sql.get("diagnosis/not_enforced"), {"tables": tables}
    ):
        yield Finding(
            child,
            f"the foreign key {key} of {child} to {parent} is NOT ENFORCED: PostgreSQL does not apply its "
            "ON DELETE action, and rows without a parent may exist. To enforce it",
            (enforce,),
        )


NOT_ENFORCED = Diagnosis(
    id="not_enforced",
    severity="info",
    question="Does PostgreSQL enforce the foreign keys of the policies' tables?",
    remedy="No action is required. `ALTER TABLE … ALTER CONSTRAINT … ENFORCED` enforces it.",
    find=_find,
)

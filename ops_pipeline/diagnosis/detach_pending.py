"""Partitions whose detach was interrupted."""

from collections.abc import Iterator

from psycopg import sql as compose

import sql
from ops_pipeline.diagnosis.diagnosis import Diagnosis, Examination
from ops_pipeline.finding import Finding


def _find(examined: Examination) -> Iterator[Finding]:
    for table in dict.fromkeys(table for _, table, _ in examined.deleting()):
        pending = examined.connection.execute(sql.get("partitions/pending"), {"table": table.oid})
        for _, schema, name in pending:
            finalize = compose.SQL("ALTER TABLE {} DETACH PARTITION {} FINALIZE;").format(
                table.identifier, compose.Identifier(schema, name)
            )
            yield Finding(
                f"{schema}.{name}",
                f"its detach from {table} was interrupted: its rows are no longer seen through {table}, and "
                "rows of its days cannot be inserted. The next run completes it. To complete it now",
                (finalize.as_string(examined.connection),),
            )


DETACH_PENDING = Diagnosis(
    id="detach_pending",
    severity="warning",
    question="Is every detach on the policies' tables complete?",
    remedy="Run `ALTER TABLE … DETACH PARTITION … FINALIZE`; the next run does it as well.",
    find=_find,
)

"""Invalid indexes of the policies' tables."""

from collections.abc import Iterator

import sql
from ops_pipeline.diagnosis.diagnosis import Diagnosis, Examination
from ops_pipeline.finding import Finding
from ops_pipeline.maintenance.vacuum.policy import Vacuum
from ops_pipeline.maintenance.vacuum.tables import policy_tables


def _find(examined: Examination) -> Iterator[Finding]:
    oids = list(_tables(examined))
    for index, table, remedies in examined.connection.execute(
        sql.get("diagnosis/invalid_indexes"), {"tables": oids}
    ):
        yield Finding(
            index,
            f"the index {index} of {table} is invalid, left by an interrupted CREATE INDEX or REINDEX "
            "CONCURRENTLY: every write maintains it, and no query uses it. Drop it, or rebuild it if it is "
            "needed",
            tuple(remedies),
        )


def _tables(examined: Examination) -> Iterator[int]:
    for _, table, parent in examined.deleting():
        yield from (seen.oid for seen in (table, parent) if seen is not None)
    for policy in examined.policies:
        if isinstance(policy, Vacuum):
            try:
                yield from (table.oid for table in policy_tables(examined.connection, policy))
            except LookupError:
                continue  # `policy_mismatch` names the table that is missing


INVALID_INDEXES = Diagnosis(
    id="invalid_indexes",
    severity="warning",
    question="Are all indexes of the policies' tables valid?",
    remedy="Run `DROP INDEX CONCURRENTLY` or `REINDEX INDEX CONCURRENTLY`; a vacuum policy with `reindex` "
    "drops those that an interrupted REINDEX left.",
    find=_find,
)

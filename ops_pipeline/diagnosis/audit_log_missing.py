"""Our tables are there, and the audit log is not."""

from collections.abc import Iterator

import sql
from ops_pipeline.audit import trail
from ops_pipeline.diagnosis.diagnosis import Diagnosis, Examination
from ops_pipeline.finding import Finding
from ops_pipeline.postgres.connection import scalar
from ops_pipeline.postgres.relation import AUDIT_LOGS, audit_logs
from sql.schema_names import shown


def _find(examined: Examination) -> Iterator[Finding]:
    connection = examined.connection
    if not scalar(connection, sql.get("postgres/migrated")) or trail.is_there(connection):
        return
    name = f"{shown(audit_logs().schema)}.{AUDIT_LOGS}"
    problem = (
        "is missing, or lacks columns of ours. Policies run, and holds, approvals and restores are carried "
        "out; none of them is recorded in an audit log, and the API stores and finds no events"
    )
    values = {"schema": audit_logs().schema}
    elsewhere = connection.execute(sql.get("diagnosis/audit_log_elsewhere"), values).fetchone()
    if elsewhere is None:
        yield Finding(name, problem, ("Restore the table from a backup of the database",))
        return
    called, remedies = elsewhere
    yield Finding(name, f"{problem}. Ours is called {called} now", tuple(remedies))


AUDIT_LOG_MISSING = Diagnosis(
    id="audit_log_missing",
    severity="warning",
    question="Is the audit log there?",
    remedy="Give the table its name again, set `OPS_AUDIT_LOG_SCHEMA` to the schema that it is in, or "
    "restore it from a backup ([what works without it](../runbook.md#the-audit-log-is-missing)).",
    find=_find,
)

"""The database is migrated, but the table `audit_logs` is missing or lacks columns."""

from collections.abc import Iterator

import sql
from ops_pipeline.audit import trail
from ops_pipeline.diagnosis.diagnosis import Diagnosis, Examination
from ops_pipeline.finding import Finding
from ops_pipeline.postgres.relation import AUDIT_LOGS, audit_logs
from sql.schema_names import shown


def _find(examined: Examination) -> Iterator[Finding]:
    connection = examined.migrated_connection()
    if trail.is_there(connection):
        return
    name = f"{shown(audit_logs().schema)}.{AUDIT_LOGS}"
    problem = (
        "is missing, or lacks required columns. Policies, holds, approvals and restores still work, but are "
        "not recorded in an audit log, and the API neither stores nor finds events"
    )
    values = {"schema": audit_logs().schema}
    elsewhere = connection.execute(sql.get("diagnosis/audit_log_elsewhere"), values).fetchone()
    if elsewhere is None:
        yield Finding(name, problem, ("Restore the table from a backup of the database",))
        return
    called, remedies = elsewhere
    yield Finding(name, f"{problem}. The audit log is now {called}", tuple(remedies))


AUDIT_LOG_MISSING = Diagnosis(
    id="audit_log_missing",
    severity="warning",
    question="Does the audit log exist?",
    remedy="Rename the table back, set `OPS_AUDIT_LOG_SCHEMA` to the schema that it is in, or "
    "restore it from a backup ([what works without it](../runbook.md#the-audit-log-is-missing)).",
    find=_find,
)

"""The application has a schema or table with the name that our schema or the audit log needs."""

from collections.abc import Iterator

from ops_pipeline.diagnosis.diagnosis import Diagnosis, Examination
from ops_pipeline.finding import Finding
from ops_pipeline.postgres.migrations import TakenError, check_audit_logs, check_schema
from ops_pipeline.postgres.relation import AUDIT_LOGS
from sql.schema_names import configured, shown


def _find(examined: Examination) -> Iterator[Finding]:
    names = configured()
    checks = {
        f"schema {shown(names.own_schema)}": check_schema,
        f"{shown(names.audit_log_schema)}.{AUDIT_LOGS}": check_audit_logs,
    }
    for name, check in checks.items():
        try:
            check(examined.connection)
        except TakenError as error:
            yield Finding(name, str(error), error.remedies)


NAMES_TAKEN = Diagnosis(
    id="names_taken",
    severity="error",
    question="Are the names of Ops Pipeline's schema and of its table `audit_logs` free?",
    remedy="Rename the application's schema or table, or set `OPS_SCHEMA` and "
    "`OPS_AUDIT_LOG_SCHEMA` to other schemas ([settings](settings.md#where-our-tables-live)). An "
    "`audit_logs` that has the audit log's columns can be adopted: `opsctl adopt audit_logs "
    "--database NAME`.",
    find=_find,
)

"""The application has a schema `ops` or a table `audit_logs` of its own."""

from collections.abc import Callable, Iterator

from ops_pipeline.diagnosis.diagnosis import Diagnosis, Examination
from ops_pipeline.finding import Finding
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.migrations import TakenError, check_audit_logs, check_schema

NAMES: dict[str, Callable[[Connection], None]] = {
    "schema ops": check_schema,
    "public.audit_logs": check_audit_logs,
}


def _find(examined: Examination) -> Iterator[Finding]:
    for name, check in NAMES.items():
        try:
            check(examined.connection)
        except TakenError as error:
            yield Finding(name, str(error), (error.remedy,))


NAMES_TAKEN = Diagnosis(
    id="names_taken",
    severity="error",
    question="Are the names free that our tables have: schema `ops`, table `public.audit_logs`?",
    remedy="Give the application's schema or table another name; an `audit_logs` of our columns is adopted "
    "with `opsctl adopt audit_logs`.",
    find=_find,
)

"""Our tables are missing, or were migrated by another version."""

from collections.abc import Iterator

from ops_pipeline.diagnosis.diagnosis import Diagnosis, Examination
from ops_pipeline.finding import Finding
from ops_pipeline.postgres.ready import NotMigratedError, refuse_unmigrated


def _find(examined: Examination) -> Iterator[Finding]:
    try:
        refuse_unmigrated(examined.connection)
    except NotMigratedError as error:
        yield Finding(examined.connection.info.dbname, str(error), ("opsctl migrate",))


NOT_MIGRATED = Diagnosis(
    id="not_migrated",
    severity="error",
    question="Are all migrations of this version applied?",
    remedy="`opsctl migrate`",
    find=_find,
)

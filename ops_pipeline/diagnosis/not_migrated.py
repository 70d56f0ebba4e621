"""Our tables are missing, or were migrated by another version."""

from collections.abc import Iterator

from ops_pipeline.diagnosis.diagnosis import Diagnosis, Examination
from ops_pipeline.finding import Finding
from ops_pipeline.opsctl import opsctl
from ops_pipeline.postgres.ready import NotMigratedError, lacking


def _find(examined: Examination) -> Iterator[Finding]:
    name = examined.connection.info.dbname
    try:
        said = lacking(examined.connection)
    except NotMigratedError as error:
        yield Finding(name, str(error))
        return
    if said is not None:
        yield Finding(name, f"{said}. To create or update them", (opsctl("migrate"),))


NOT_MIGRATED = Diagnosis(
    id="not_migrated",
    severity="error",
    question="Are all migrations of this version applied?",
    remedy="Run `opsctl migrate`.",
    find=_find,
)

"""Our tables are missing, or not as this version knows them."""

from collections.abc import Iterator

import sql
from ops_pipeline.diagnosis.diagnosis import Diagnosis, Examination
from ops_pipeline.finding import Finding
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.postgres.migrations import MIGRATIONS


def _find(examined: Examination) -> Iterator[Finding]:
    known = {file.stem for file in MIGRATIONS.glob("*.sql")}
    missing = sorted(known - _applied(examined.connection))
    if missing:
        which = "none of our tables" if len(missing) == len(known) else f"not yet {', '.join(missing)}"
        yield Finding(
            examined.connection.info.dbname,
            f"the database has {which}, so no policy can run. Create them; tables of the application stay as "
            "they are",
            ("opsctl migrate",),
        )


def _applied(connection: Connection) -> set[str]:
    if not scalar(connection, sql.get("postgres/counts_migrations")):
        return set()
    return {name for (name,) in connection.execute(sql.get("postgres/applied_migrations"))}


NOT_MIGRATED = Diagnosis(
    id="not_migrated",
    severity="error",
    question="Are our tables there, as this version knows them?",
    remedy="`opsctl migrate`",
    find=_find,
)

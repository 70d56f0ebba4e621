"""Migrations of a newer version, which this one does not know."""

from collections.abc import Iterator

import sql
from ops_pipeline.counted import listed
from ops_pipeline.diagnosis.diagnosis import Diagnosis, Examination
from ops_pipeline.finding import Finding
from ops_pipeline.postgres.connection import row
from ops_pipeline.postgres.ready import KNOWN_MIGRATIONS


def _find(examined: Examination) -> Iterator[Finding]:
    connection = examined.connection
    if row(connection, sql.get("postgres/counts_migrations")) != (True, True):
        return  # `not_migrated` says so
    applied = {name for (name,) in connection.execute(sql.get("postgres/applied_migrations"))}
    if not applied & KNOWN_MIGRATIONS:
        return  # another program's table; `names_taken` says so
    if newer := sorted(applied - KNOWN_MIGRATIONS):
        yield Finding(
            connection.info.dbname,
            f"a newer version of Ops Pipeline has migrated this database ({listed(newer)}), and this version "
            "does not know what that changed. Install that version here as well, on every host that runs "
            "policies or the API",
        )


MIGRATED_AHEAD = Diagnosis(
    id="migrated_ahead",
    severity="error",
    question="Does this version know every migration of the database?",
    remedy="Install the version that migrated the database; migrations are never undone.",
    find=_find,
)

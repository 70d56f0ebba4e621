"""Statistics without which nobody knows what VACUUM has to do."""

from collections.abc import Iterator

from psycopg import sql as compose

import sql
from ops_pipeline.diagnosis.diagnosis import Diagnosis, Examination
from ops_pipeline.finding import Finding
from ops_pipeline.postgres.connection import scalar


def _find(examined: Examination) -> Iterator[Finding]:
    if scalar(examined.connection, sql.get("diagnosis/track_counts")):
        return
    switch_on = compose.SQL("ALTER DATABASE {} SET track_counts = on;").format(
        compose.Identifier(examined.connection.info.dbname)
    )
    yield Finding(
        examined.connection.info.dbname,
        "track_counts is off: the server counts no dead rows, so neither autovacuum nor a vacuum policy with "
        "`mode: auto` knows which tables need it. As a superuser",
        (switch_on.as_string(examined.connection),),
    )


TRACK_COUNTS = Diagnosis(
    id="track_counts",
    severity="warning",
    question="Does the server count dead rows?",
    remedy="`track_counts = on`, which is PostgreSQL's default.",
    find=_find,
)

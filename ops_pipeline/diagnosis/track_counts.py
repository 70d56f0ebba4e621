"""`track_counts = off`: the server counts no dead rows, so no table is known to need VACUUM."""

from collections.abc import Iterator

import sql
from ops_pipeline.diagnosis.diagnosis import Diagnosis, Examination
from ops_pipeline.finding import Finding
from ops_pipeline.maintenance import refusals
from ops_pipeline.postgres.connection import scalar


def _find(examined: Examination) -> Iterator[Finding]:
    if scalar(examined.connection, sql.get("diagnosis/track_counts")):
        return
    yield Finding(
        examined.connection.info.dbname,
        "track_counts is off: the server counts no dead rows, so neither autovacuum nor a vacuum policy with "
        "`mode: auto` knows which tables need it, and policies whose deletes reach other tables are refused. "
        "To enable it, as a superuser",
        (refusals.switch_counting_on(examined.connection),),
    )


TRACK_COUNTS = Diagnosis(
    id="track_counts",
    severity="warning",
    question="Does the server count dead rows?",
    remedy="Set `track_counts = on`, PostgreSQL's default. Meanwhile a policy whose deletes reach other "
    "tables, or fire triggers, is refused.",
    find=_find,
)

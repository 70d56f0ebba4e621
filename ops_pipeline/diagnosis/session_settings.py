"""Settings of the database or role that our sessions override."""

from collections.abc import Iterator

import sql
from ops_pipeline.diagnosis.diagnosis import Diagnosis, Examination
from ops_pipeline.finding import Finding
from ops_pipeline.postgres.session import pinned_settings


def _find(examined: Examination) -> Iterator[Finding]:
    rows = examined.connection.execute(sql.get("diagnosis/session_settings"), {"pinned": pinned_settings()})
    for setting, whose, value, ours, reset in rows:
        yield Finding(
            whose,
            f"{whose} sets {setting} to {value or 'an empty value'}. Ops Pipeline's sessions override it "
            f"with {ours}, so that it does not change what policies read and write. If it was meant only "
            "for them, reset it",
            (reset,),
        )


SESSION_SETTINGS = Diagnosis(
    id="session_settings",
    severity="info",
    question="Do Ops Pipeline's sessions use the settings of the database and the role as they are?",
    remedy="No action is required: Ops Pipeline's sessions set every timeout and every setting that changes "
    "how values are read or written.",
    find=_find,
)

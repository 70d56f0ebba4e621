"""Settings of the database or role that sessions of ours do not go by."""

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
            f"{whose} sets {setting} to {value or 'an empty value'}. Our sessions set it to {ours}, so that "
            "it changes nothing of what policies read and write. Where it was meant for them, take it back",
            (reset,),
        )


SESSION_SETTINGS = Diagnosis(
    id="session_settings",
    severity="info",
    question="Do our sessions go by all that the database and the role set for them?",
    remedy="Nothing has to be done: what changes how values are read or written, and every timeout, is set "
    "by our sessions themselves.",
    find=_find,
)

"""A server that takes no writes."""

from collections.abc import Iterator

import sql
from ops_pipeline.diagnosis.diagnosis import Diagnosis, Examination
from ops_pipeline.finding import Finding
from ops_pipeline.postgres.connection import scalar


def _find(examined: Examination) -> Iterator[Finding]:
    if scalar(examined.connection, sql.get("postgres/is_standby")):
        yield Finding(
            f"{examined.connection.info.host}:{examined.connection.info.port}",
            "the server is a standby, which takes no writes. Put the primary's address into `url`, or those "
            "of all servers with this parameter, which finds the primary after each failover",
            ("?target_session_attrs=read-write",),
        )


STANDBY = Diagnosis(
    id="standby",
    severity="error",
    question="Does the server take writes?",
    remedy="Put the primary's address into `url`, or those of all servers with "
    "`?target_session_attrs=read-write`.",
    find=_find,
)

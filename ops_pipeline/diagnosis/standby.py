"""A server that is a standby and accepts no writes."""

from collections.abc import Iterator

from ops_pipeline.diagnosis.diagnosis import Diagnosis, Examination
from ops_pipeline.finding import Finding
from ops_pipeline.postgres.ready import StandbyError, refuse_standby


def _find(examined: Examination) -> Iterator[Finding]:
    info = examined.connection.info
    try:
        refuse_standby(examined.connection)
    except StandbyError as error:
        yield Finding(f"{info.host}:{info.port}", str(error), ("?target_session_attrs=read-write",))


STANDBY = Diagnosis(
    id="standby",
    severity="error",
    question="Does the server accept writes?",
    remedy="Set `url` to the primary's address, or to those of all servers with "
    "`?target_session_attrs=read-write`.",
    find=_find,
)

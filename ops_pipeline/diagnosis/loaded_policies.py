"""Processes that run by other policies than those of this policies.yaml."""

from collections.abc import Iterator

import sql
from ops_pipeline.diagnosis.diagnosis import Diagnosis, Examination
from ops_pipeline.finding import Finding
from ops_pipeline.postgres.connection import scalar

API, CODE_LOCATION = "API", "code location"
"""The programs that record what they have loaded, about once a minute while they run."""
REMEDIES = {
    API: "restart the API; it reads the file of its own OPS_POLICIES",
    CODE_LOCATION: "reload the code location in the Dagster UI (Deployment), or restart it",
}


def _find(examined: Examination) -> Iterator[Finding]:
    if examined.database is None or not scalar(examined.connection, sql.get("diagnosis/has_loaded_policies")):
        return  # `not_migrated` says so
    ours = examined.database.fingerprint
    for program, host, theirs, loaded_at in examined.connection.execute(sql.get("diagnosis/loaded_policies")):
        if theirs != ours:
            yield Finding(
                f"{program} on {host}",
                f"the {program} on {host} has other policies of {examined.database.name} ({theirs}, loaded "
                f"at {loaded_at:%Y-%m-%d %H:%M} UTC) than this policies.yaml ({ours}). If this file is the "
                f"right one: {REMEDIES.get(program, f'restart the {program}')}",
            )


LOADED_POLICIES = Diagnosis(
    id="loaded_policies",
    severity="warning",
    question="Do the API and the code location have the same policies as this policies.yaml?",
    remedy="Reload the code location in the Dagster UI (Deployment), restart the API, and give all processes "
    "the same file (`OPS_POLICIES`).",
    find=_find,
)

"""Holds whose table or column was dropped, renamed or replaced since they were created."""

from collections.abc import Iterator
from datetime import UTC, datetime

import sql
from ops_pipeline.diagnosis.diagnosis import Diagnosis, Examination
from ops_pipeline.finding import Finding
from ops_pipeline.holds.holds import list_holds
from ops_pipeline.postgres.connection import scalar


def _find(examined: Examination) -> Iterator[Finding]:
    connection = examined.migrated_connection()
    if not scalar(connection, sql.get("holds/are_bound")):
        return
    for hold in list_holds(connection):
        if hold.state(datetime.now(UTC)) == "unclear":
            yield Finding(
                f"hold {hold.id} on {hold.table}",
                f"{hold.unclear} To confirm what it covers, or to end it with the last command",
                hold.remedies,
            )


HOLDS = Diagnosis(
    id="holds",
    severity="error",
    question="Are the tables and columns of all holds the ones they were created for?",
    remedy="`opsctl hold confirm ID` sets what the hold covers now, `opsctl hold release ID` ends it; "
    "both with `--database NAME` where policies.yaml has several ([holds](../holds.md)).",
    find=_find,
)

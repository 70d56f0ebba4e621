"""Replication slots without a consumer."""

from collections.abc import Iterator

import sql
from ops_pipeline.diagnosis.diagnosis import Diagnosis, Examination
from ops_pipeline.finding import Finding


def _find(examined: Examination) -> Iterator[Finding]:
    for slot, wal, holds_rows, remedy in examined.connection.execute(sql.get("diagnosis/idle_slots")):
        rows = ", and dead rows that VACUUM could remove" if holds_rows else ""
        yield Finding(
            f"replication slot {slot}",
            f"no consumer uses it, and it keeps {wal} of WAL{rows}, until the disk is full. Start its "
            "consumer. If it no longer exists, drop the slot",
            (remedy,),
        )


REPLICATION_SLOTS = Diagnosis(
    id="replication_slots",
    severity="warning",
    question="Does every replication slot have a consumer?",
    remedy="Start the consumer, or run `SELECT pg_drop_replication_slot(…)`.",
    find=_find,
)

"""A server whose clock differs from this host's."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import sql
from ops_pipeline.diagnosis.diagnosis import Diagnosis, Examination
from ops_pipeline.finding import Finding
from ops_pipeline.postgres.connection import scalar

TOLERANCE = timedelta(seconds=5)


def _find(examined: Examination) -> Iterator[Finding]:
    before = datetime.now(UTC)
    server: datetime = scalar(examined.connection, sql.get("diagnosis/clock"))
    after = datetime.now(UTC)
    # The answer was made at some time between.
    ahead = server - after if server > after else min(server - before, timedelta())
    if abs(ahead) > TOLERANCE:
        seconds = f"{abs(ahead).total_seconds():,.0f} s"
        yield Finding(
            examined.connection.info.dbname,
            f"the server's clock is {seconds} {'ahead of' if ahead > timedelta() else 'behind'} this host's. "
            "Cutoffs use the server's clock; schedules and the guard's clock check use this host's. "
            "Synchronize both, on each host",
            ("timedatectl set-ntp true",),
        )


CLOCK_SKEW = Diagnosis(
    id="clock_skew",
    severity="warning",
    question=f"Do the clocks of the server and of this host agree within {TOLERANCE.seconds} seconds?",
    remedy="Synchronize the clocks of both hosts (NTP).",
    find=_find,
)

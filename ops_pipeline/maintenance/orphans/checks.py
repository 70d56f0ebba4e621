"""What must hold after a run of an orphans policy."""

from collections.abc import Iterator
from dataclasses import dataclass

from ops_pipeline.maintenance.check import Check, CheckResult, archive_verified, guard_passed
from ops_pipeline.maintenance.orphans import reference, track
from ops_pipeline.maintenance.orphans.policy import Orphans
from ops_pipeline.postgres.connection import Connection


def checks(policy: Orphans) -> Iterator[Check]:
    """The checks of that policy."""
    ask = _Orphans(policy)
    yield Check(
        "no_orphaned_rows",
        f"Every {policy.reference} in {policy.table} names a row of {policy.parent}, or is in its grace "
        "period.",
        ask.no_orphaned_rows,
    )
    if policy.track:
        yield Check(
            "record_is_complete",
            f"The last sweep found no missing row of {policy.parent} that its triggers had not recorded.",
            ask.record_is_complete,
        )
    yield guard_passed(policy)
    if policy.archive:
        yield archive_verified(policy)


@dataclass(frozen=True, slots=True)
class _Orphans:
    policy: Orphans

    def no_orphaned_rows(self, connection: Connection) -> CheckResult:
        policy = self.policy
        rows = reference.unattended(connection, reference.of(connection, policy))
        return CheckResult(
            rows == 0,
            f"{rows:,} rows of {policy.table} have a {policy.reference} that {policy.parent} lacks and are "
            "not in their grace period",
            {"rows_left": rows},
        )

    def record_is_complete(self, connection: Connection) -> CheckResult:
        unrecorded, some = track.last_audit(connection, self.policy)
        return CheckResult(
            unrecorded == 0,
            f"{unrecorded:,} missing rows of {self.policy.parent} had not been recorded",
            {"unrecorded": unrecorded, "some_of_them": str(some)},
        )

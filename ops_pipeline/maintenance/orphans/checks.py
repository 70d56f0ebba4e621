"""What must hold after a run of an orphans policy."""

from collections.abc import Iterator
from dataclasses import dataclass

from ops_pipeline.maintenance.check import CheckResult, PolicyCheck, deleting_checks
from ops_pipeline.maintenance.orphans import track
from ops_pipeline.maintenance.orphans.policy import Orphans
from ops_pipeline.maintenance.orphans.reference import count_children, find_reference
from ops_pipeline.postgres.connection import Connection


def checks(policy: Orphans) -> Iterator[PolicyCheck]:
    """The checks of that policy."""
    questions = _Questions(policy)
    yield PolicyCheck(
        "no_orphaned_rows",
        f"Every {policy.reference} in {policy.table} names a row of {policy.parent}, or is in its grace "
        "period.",
        questions.no_orphaned_rows,
    )
    if policy.track:
        yield PolicyCheck(
            "record_is_complete",
            f"The last sweep found no missing row of {policy.parent} that its triggers had not recorded.",
            questions.record_is_complete,
        )
    yield from deleting_checks(policy)


@dataclass(frozen=True, slots=True)
class _Questions:
    policy: Orphans

    def no_orphaned_rows(self, connection: Connection) -> CheckResult:
        policy = self.policy
        reference = find_reference(connection, policy)
        rows = count_children(connection, reference, reference.unmarked)
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

"""What must hold after a run of a retention policy."""

from collections.abc import Iterator
from dataclasses import dataclass

from ops_pipeline.maintenance.check import Check, CheckResult, archive_verified, guard_passed
from ops_pipeline.maintenance.retention import expired
from ops_pipeline.maintenance.retention.policy import Retention
from ops_pipeline.partitions.detach import interrupted_detaches
from ops_pipeline.partitions.gaps import days_without_partition
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.relation import find_relation

DAYS_REQUIRED = 3
"""A weekend's worth: fewer partitions leave no time to fix what keeps them from being made."""


def checks(policy: Retention) -> Iterator[Check]:
    """The checks of that policy."""
    ask, table = _Retention(policy), policy.table
    yield Check(
        "no_expired_rows",
        f"{table} has no row that the last run should have deleted.",
        ask.no_expired_rows,
    )
    yield guard_passed(policy)
    if policy.partition == "day":
        yield Check(
            "partitions_premade",
            f"Partitions of {table} exist for the next {DAYS_REQUIRED} days. Rows of a day without one go to "
            "the default partition, or are refused.",
            ask.partitions_premade,
        )
        yield Check(
            "no_detach_pending",
            f"No detach of a partition of {table} was interrupted half way; the next run would complete it.",
            ask.no_detach_pending,
        )
    if policy.archive:
        yield archive_verified(policy)


@dataclass(frozen=True, slots=True)
class _Retention:
    policy: Retention

    def no_expired_rows(self, connection: Connection) -> CheckResult:
        cutoff = expired.due(connection, self.policy)
        rows = expired.left(connection, self.policy, cutoff)
        return CheckResult(
            rows == 0,
            f"{rows:,} rows of {self.policy.table} are older than {cutoff:%Y-%m-%d %H:%M} UTC",
            {"rows_left": rows},
        )

    def partitions_premade(self, connection: Connection) -> CheckResult:
        table = find_relation(connection, self.policy.table)
        without = days_without_partition(connection, table, DAYS_REQUIRED)
        days = ", ".join(f"{day:%Y-%m-%d}" for day in without)
        return CheckResult(
            not without,
            f"There are no partitions for {days}"
            if without
            else f"The next {DAYS_REQUIRED} days have theirs",
            {"days_missing": len(without)},
        )

    def no_detach_pending(self, connection: Connection) -> CheckResult:
        names = interrupted_detaches(connection, find_relation(connection, self.policy.table))
        return CheckResult(
            not names,
            f"Interrupted: {', '.join(names)}. Rows of these times are refused" if names else "None",
            {"pending": len(names)},
        )

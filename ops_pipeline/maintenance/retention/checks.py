"""What must hold after a run of a retention policy."""

from collections.abc import Iterator
from dataclasses import dataclass

from ops_pipeline.maintenance.check import CheckResult, PolicyCheck, deleting_checks
from ops_pipeline.maintenance.retention import expired
from ops_pipeline.maintenance.retention.policy import Retention
from ops_pipeline.partitions import missing, pending
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.relation import find_relation

DAYS_REQUIRED = 3
"""A weekend's worth: fewer partitions leave no time to fix what keeps them from being made."""


def checks(policy: Retention) -> Iterator[PolicyCheck]:
    """The checks of that policy."""
    questions, table = _Questions(policy), policy.table
    yield PolicyCheck(
        "no_expired_rows",
        f"{table} has no row that the last run should have deleted.",
        questions.no_expired_rows,
    )
    yield from deleting_checks(policy)
    if policy.partition == "day":
        yield PolicyCheck(
            "partitions_premade",
            f"Partitions of {table} exist for the next {DAYS_REQUIRED} days. Rows of a day without one go to "
            "the default partition, or are refused.",
            questions.partitions_premade,
        )
        yield PolicyCheck(
            "no_detach_pending",
            f"No detach of a partition of {table} was interrupted half way; the next run would complete it.",
            questions.no_detach_pending,
        )


@dataclass(frozen=True, slots=True)
class _Questions:
    policy: Retention

    def no_expired_rows(self, connection: Connection) -> CheckResult:
        cutoff = expired.last_cutoff(connection, self.policy)
        rows = expired.backlog(connection, self.policy, cutoff)
        return CheckResult(
            rows == 0,
            f"{rows:,} rows of {self.policy.table} are older than {cutoff:%Y-%m-%d %H:%M} UTC",
            {"rows_left": rows},
        )

    def partitions_premade(self, connection: Connection) -> CheckResult:
        table = find_relation(connection, self.policy.table)
        without = missing.ahead(connection, table, DAYS_REQUIRED)
        days = ", ".join(f"{day:%Y-%m-%d}" for day in without)
        return CheckResult(
            not without,
            f"There are no partitions for {days}"
            if without
            else f"The next {DAYS_REQUIRED} days have theirs",
            {"days_missing": len(without)},
        )

    def no_detach_pending(self, connection: Connection) -> CheckResult:
        names = pending.interrupted(connection, find_relation(connection, self.policy.table))
        return CheckResult(
            not names,
            f"Interrupted: {', '.join(names)}. Rows of these times are refused" if names else "None",
            {"pending": len(names)},
        )

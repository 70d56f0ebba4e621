"""The checks of a retention policy: what must be true after its run."""

from collections.abc import Iterator
from datetime import datetime
from functools import partial

from ops_pipeline.counted import counted
from ops_pipeline.maintenance.check import (
    ROWS_REMAIN,
    CheckResult,
    PolicyCheck,
    deleting_checks,
    observed_only,
    rows_remain,
)
from ops_pipeline.maintenance.retention.expired import last_cutoff
from ops_pipeline.maintenance.retention.plan import backlog
from ops_pipeline.maintenance.retention.policy import Retention
from ops_pipeline.opsctl import opsctl
from ops_pipeline.partitions.detach import interrupted_detaches
from ops_pipeline.partitions.gaps import days_without_partition
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.relation import find_relation

DAYS_REQUIRED = 3
"""Enough for a weekend: with fewer there is no time to fix what prevents new partitions."""


def checks(policy: Retention) -> Iterator[PolicyCheck]:
    """The checks of that policy."""
    table = policy.table
    yield PolicyCheck(
        "no_expired_rows",
        f"{table} has no row that the last run should have deleted.",
        partial(_no_expired_rows, policy),
        runbook=ROWS_REMAIN,
    )
    yield from deleting_checks(policy)
    if policy.partition == "day":
        yield PolicyCheck(
            "partitions_premade",
            f"Partitions of {table} exist for the next {DAYS_REQUIRED} days. Rows of a day without one go "
            "into the default partition, or their INSERT fails if the table has none.",
            partial(_partitions_premade, policy),
        )
        yield PolicyCheck(
            "no_detach_pending",
            f"No partition of {table} has a pending detach. The next run completes an interrupted one.",
            partial(_no_detach_pending, policy),
        )


def _no_expired_rows(policy: Retention, connection: Connection) -> CheckResult:
    cutoff = last_cutoff(connection, policy)
    rows = backlog(connection, policy, cutoff)
    found = rows_remain(connection, policy, rows, _older(policy, rows, cutoff))
    return observed_only(found) if policy.observe else found


def _older(policy: Retention, rows: int, cutoff: datetime) -> str:
    when = f"{cutoff:%Y-%m-%d %H:%M} UTC"
    if not rows:
        return (
            f"No row of {policy.table} is older than {when}, except rows on hold or referred to by kept rows"
        )
    are = "is" if rows == 1 else "are"
    unkept = "neither on hold nor referred to"
    return f"{counted(rows, 'row')} of {policy.table} {are} older than {when} and {unkept}"


def _partitions_premade(policy: Retention, connection: Connection) -> CheckResult:
    table = find_relation(connection, policy.table)
    without = days_without_partition(connection, table, DAYS_REQUIRED)
    days = ", ".join(f"{day:%Y-%m-%d}" for day in without)
    return CheckResult(
        not without,
        f"No partitions exist for {days}. {_to(policy, 'create them')}"
        if without
        else f"Partitions exist for the next {DAYS_REQUIRED} days",
        {"days_missing": len(without)},
    )


def _no_detach_pending(policy: Retention, connection: Connection) -> CheckResult:
    names = interrupted_detaches(connection, find_relation(connection, policy.table))
    return CheckResult(
        not names,
        f"Detach pending: {', '.join(names)}. Rows within their bounds cannot be inserted. "
        f"{_to(policy, 'complete the detach')}"
        if names
        else "No detach is pending",
        {"pending": len(names)},
    )


def _to(policy: Retention, do: str) -> str:
    """The sentence that says how a person makes a run do it."""
    if policy.observe:
        return f"The policy is observed only, so no run will {do}; set mode: enforce, or do it yourself"
    return f"To {do}: {opsctl('run', policies=[policy.name])}"

"""Checks of a policy: what must be true in the database after a run. Dagster shows them as asset checks."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pkgutil import resolve_name
from typing import Literal

from ops_pipeline.maintenance import history
from ops_pipeline.maintenance.guard import approvals
from ops_pipeline.maintenance.result import RunResult
from ops_pipeline.policies.model import DeletingPolicy
from ops_pipeline.postgres.connection import Connection

CheckValue = int | float | str | datetime
ROWS_REMAIN = "rows-remain-after-a-run"
"""The runbook's section for rows that a run should have deleted."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a check found. With `fails_run` the run fails as well, which raises an alert.

    `severity`, where it did not pass: an error, or a warning where nothing is wrong and a person must decide.
    """

    passed: bool
    description: str
    metadata: Mapping[str, CheckValue] = field(default_factory=dict)
    fails_run: bool = False
    severity: Literal["error", "warning"] = "error"


def not_evaluated(error: Exception) -> CheckResult:
    """The result of a check that could not find out whether it passes."""
    return CheckResult(False, f"Could not be evaluated: {error}", fails_run=True)


@dataclass(frozen=True, slots=True)
class PolicyCheck:
    """A check against the database. It changes no row of a policy's tables and may run at any time.

    `holds_back`: where it does not pass, the steps that would overwrite evidence (VACUUM) do not run.
    `runbook`: the runbook's section; "" is the section of the policy's kind.
    """

    name: str
    description: str
    ask: Callable[[Connection], CheckResult]
    holds_back: bool = False
    runbook: str = ""


def deleting_checks(policy: DeletingPolicy) -> Iterator[PolicyCheck]:
    """What must hold after a run of any policy that deletes rows."""
    yield PolicyCheck(
        "guard_passed",
        "The last run needed no approval. If it did: review the plan and approve it, or fix the policy.",
        partial(_guard_passed, policy=policy),
        runbook="needs_approval",
    )
    if policy.archive:
        yield PolicyCheck(
            "archive_verified",
            f"The newest archived files of {policy.table} are read again and match what the database "
            "recorded (size, SHA-256, row count), and no file was found damaged before. If one is damaged, "
            "or the check cannot be evaluated, VACUUM and the other policies that depend on this one do not "
            "run: until VACUUM has run, deleted rows can still be read from the table's pages.",
            partial(_archive_verified, policy=policy),
            holds_back=True,
            runbook="archive",
        )


def rows_remain(connection: Connection, policy: DeletingPolicy, rows: int, description: str) -> CheckResult:
    """The result of counting the rows that a policy should have deleted: a warning where they wait for an
    approval."""
    waiting = _waiting(connection, policy) if rows else None
    if waiting is None:
        return CheckResult(rows == 0, description, {"rows_remaining": rows})
    return CheckResult(
        False, description, {"rows_remaining": rows, "plan": waiting.details["plan"]}, severity="warning"
    )


def observed_only(found: CheckResult) -> CheckResult:
    """The result of a check of what a run deletes, for a policy that is observed only: what was found is not
    the run's failure, because the run changes nothing."""
    if found.passed:
        return found
    return CheckResult(True, f"Observed only (mode: observe): {found.description}", found.metadata)


def _guard_passed(connection: Connection, policy: DeletingPolicy) -> CheckResult:
    last_run = history.last(connection, policy.name)
    if last_run is not None and last_run.work_outcome in {"paused", "observed"}:
        was = "paused" if last_run.work_outcome == "paused" else "observed only"
        return CheckResult(True, f"The guard did not apply: the last run was {was}")
    waiting = _waiting(connection, policy)
    if waiting is None:
        return CheckResult(True, "The last run needed no approval")
    plan = approvals.find(connection, waiting.details["plan"])
    about: dict[str, CheckValue] = {}
    if plan is not None:
        about = {
            "plan": plan.id,
            "rows_eligible": plan.eligible,
            "rows_total": plan.total,
            "fraction": round(plan.fraction, 4),
        }
    if waiting.oldest is not None:
        about["oldest_row"] = waiting.oldest
    return CheckResult(False, waiting.stopped_reason, about, severity="warning")


def _waiting(connection: Connection, policy: DeletingPolicy) -> RunResult | None:
    """The policy's last run, if it needs approval."""
    last_run = history.last(connection, policy.name)
    return last_run if last_run is not None and last_run.work_outcome == "needs_approval" else None


def _archive_verified(connection: Connection, policy: DeletingPolicy) -> CheckResult:
    # By name: it needs Arrow, which a process that only lists the checks must not load.
    newest_files: Callable[[Connection, DeletingPolicy], CheckResult] = resolve_name(
        "ops_pipeline.maintenance.archive_check:newest_files"
    )
    return newest_files(connection, policy)

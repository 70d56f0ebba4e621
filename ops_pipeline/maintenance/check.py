"""Checks of a policy: what must be true in the database after a run. Dagster shows them as asset checks."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pkgutil import resolve_name

from ops_pipeline.maintenance import history
from ops_pipeline.policies.model import DeletingPolicy
from ops_pipeline.postgres.connection import Connection

GUARD_CHECK = "guard_passed"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a check found. With `fails_run` the run fails as well, which raises an alert."""

    passed: bool
    description: str
    metadata: Mapping[str, int | float | str] = field(default_factory=dict)
    fails_run: bool = False


@dataclass(frozen=True, slots=True)
class PolicyCheck:
    """A check against the database. It changes no row of a policy's tables and may run at any time.

    `holds_back`: where it fails, the steps that would overwrite evidence (VACUUM) do not run.
    """

    name: str
    description: str
    ask: Callable[[Connection], CheckResult]
    holds_back: bool = False


def deleting_checks(policy: DeletingPolicy) -> Iterator[PolicyCheck]:
    """What must hold after a run of any policy that deletes rows."""
    yield PolicyCheck(
        GUARD_CHECK,
        "The last run needed no approval. If it did: review the plan and approve it, or fix the policy.",
        partial(_guard_passed, policy=policy),
    )
    if policy.archive:
        yield PolicyCheck(
            "archive_verified",
            f"The newest archived files of {policy.table} are read again and match what the database "
            "recorded (size, SHA-256, row count), and no file was found damaged before. If one is damaged, "
            "VACUUM and the other policies that depend on this one do not run: until VACUUM has run, deleted "
            "rows can still be read from the table's pages.",
            partial(_archive_verified, policy=policy),
            holds_back=True,
        )


def stopped_early(connection: Connection, policy: DeletingPolicy) -> bool:
    """Whether the policy's last run stopped with rows remaining, which fails the whole run."""
    last_run = history.last(connection, policy.name)
    return last_run is not None and last_run.outcome == "stopped" and bool(last_run.left)


def observed_only(found: CheckResult) -> CheckResult:
    """The result of a check of what a run deletes, for a policy that is observed only: what was found is not
    the run's failure, because the run changes nothing."""
    if found.passed:
        return found
    return CheckResult(True, f"Observed only (mode: observe): {found.description}", found.metadata)


def _guard_passed(connection: Connection, policy: DeletingPolicy) -> CheckResult:
    last_run = history.last(connection, policy.name)
    if last_run is not None and last_run.outcome in {"paused", "observed"}:
        return CheckResult(True, f"The guard was not asked: the last run was {last_run.stopped_reason}")
    if last_run is None or last_run.outcome != "needs_approval":
        return CheckResult(True, "The last run needed no approval")
    return CheckResult(False, last_run.stopped_reason, fails_run=True)


def _archive_verified(connection: Connection, policy: DeletingPolicy) -> CheckResult:
    # By name: it needs Arrow, which a process that only lists the checks must not load.
    newest_files: Callable[[Connection, DeletingPolicy], CheckResult] = resolve_name(
        "ops_pipeline.maintenance.archive_check:newest_files"
    )
    return newest_files(connection, policy)

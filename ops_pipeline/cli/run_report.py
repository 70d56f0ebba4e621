"""The result of a run, its exit code, and how a person sees it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console

from ops_pipeline.cli import tables
from ops_pipeline.cli.output import INTERRUPTED, NEEDS_APPROVAL, answer, complain, console
from ops_pipeline.counted import counted
from ops_pipeline.maintenance import history
from ops_pipeline.maintenance.result import RunResult

if TYPE_CHECKING:
    from ops_pipeline.orchestration.dry_run import PlannedPolicy  # Dagster takes seconds to import
    from ops_pipeline.orchestration.failure import FailedStep


MOST_UNDONE = 3
"""How many of the partitions that could not be dropped whole are named."""


@dataclass(frozen=True, slots=True)
class RunReport:
    """The result of a run. `status`: Dagster's. `deleting`: the names of the policies that delete rows."""

    run_id: str
    status: str
    policies: tuple[RunResult, ...]
    failures: "tuple[FailedStep, ...]"
    deleting: frozenset[str]

    @property
    def succeeded(self) -> bool:
        return self.status == "SUCCESS"

    @property
    def nothing_remaining(self) -> bool:
        """Whether no expired or orphaned rows remain."""
        return all(result.remaining == 0 for result in self.policies if result.policy in self.deleting)

    @property
    def exit_code(self) -> int:
        """0: done. NEEDS_APPROVAL: nothing failed, but plans need approval. INTERRUPTED: it was canceled.

        Else 1, also while maintenance is paused, or where VACUUM could not do all of its work: the Dagster
        run has not failed, but cron learns of it in no other way.
        """
        if self.succeeded:
            return 1 if self.paused or self.stopped else 0
        if self.status == "CANCELED":
            return INTERRUPTED
        only_that = all(failure.outcome == "needs_approval" for failure in self.failures)
        return NEEDS_APPROVAL if self.needs_approval and only_that else 1

    @property
    def paused(self) -> tuple[RunResult, ...]:
        """The policies that were not carried out, or not to the end, because maintenance is paused."""
        return tuple(result for result in self.policies if result.outcome == "paused")

    @property
    def stopped(self) -> tuple[RunResult, ...]:
        """The policies that ended before all of their work was done, such as a VACUUM that was blocked."""
        return tuple(result for result in self.policies if result.outcome == "stopped")

    @property
    def needs_approval(self) -> tuple[RunResult, ...]:
        """The policies whose plan must be approved before rows are deleted."""
        return tuple(result for result in self.policies if result.outcome == "needs_approval")

    @property
    def ending(self) -> str:
        """How it ended, colored, for the last line."""
        if self.exit_code == NEEDS_APPROVAL:
            return "[yellow]needs approval[/]"
        if self.succeeded:
            paused = ", but maintenance is paused" if self.paused else ""
            return f"[green]{self.status}[/]{paused or (', but incomplete' if self.stopped else '')}"
        return f"[{'yellow' if self.exit_code == INTERRUPTED else 'red'}]{self.status}[/]"


def show(report: RunReport, *, as_json: bool) -> None:
    """Prints the result of a run."""
    if as_json:
        answer({"run_id": report.run_id, "status": report.status, "policies": report.policies}, as_json=True)
    else:
        show_results(console, report)


def show_results(to: Console, report: RunReport) -> None:
    """Prints a table of what each policy did, why policies stopped, and how the Dagster run ended."""
    to.print()
    to.print(tables.results_table(report.policies))
    for result in report.policies:
        if later := result.details.get("within_grace_period"):
            orphans = f"{counted(later, 'orphan is', 'orphans are')} within the grace period"
            why = result.details.get("waits_for")
            until = f": {why}" if why else f"; a later run deletes {'it' if later == 1 else 'them'}"
            to.print(f"{result.policy}: {orphans}{until}", markup=False)
        undone = result.details.get("undone", ())
        for why in undone[:MOST_UNDONE]:
            to.print(f"{result.policy}: {why}", markup=False)
        if len(undone) > MOST_UNDONE:
            to.print(f"{result.policy}: and {len(undone) - MOST_UNDONE} more like that", markup=False)
        if result.removed and (unrecorded := result.details.get(history.UNRECORDED)):
            to.print(f"{result.policy}: {unrecorded}", markup=False)
        if result.outcome == "observed":
            to.print(f"{result.policy}: {result.stopped_reason}", markup=False)
    _complain(report)
    to.print(f"\nDagster run {report.run_id}: {report.ending}")


def _complain(report: RunReport) -> None:
    """Prints why policies are not done, each once."""
    steps = {failure.policy: failure.reason for failure in report.failures if failure.policy}
    for reason in dict.fromkeys(result.stopped_reason for result in report.paused):
        names = ", ".join(result.policy for result in report.paused if result.stopped_reason == reason)
        complain(f"{names}: {reason}")
    for result in report.policies:
        if result.policy in steps:
            complain(f"{result.policy}: {steps[result.policy]}")
        elif result.outcome not in {"done", "observed", "paused"}:
            complain(f"{result.policy} {result.outcome}: {result.stopped_reason}")
    for failure in report.failures:
        if failure.policy is None:
            complain(f"{failure.step}: {failure.reason}")


@dataclass(frozen=True, slots=True)
class DryRunReport:
    """The result of a dry run: what each policy that could be planned would do."""

    run_id: str
    status: str
    policies: "Mapping[str, PlannedPolicy]"
    failures: "tuple[FailedStep, ...]"

    @property
    def exit_code(self) -> int:
        """As `opsctl plan` exits: 1 where a policy is refused or cannot be planned."""
        if self.status == "CANCELED":
            return INTERRUPTED
        if self.status != "SUCCESS" or any(planned.refused for planned in self.policies.values()):
            return 1
        pending = any(planned.needs_approval for planned in self.policies.values())
        return NEEDS_APPROVAL if pending else 0

    def show(self, *, as_json: bool) -> None:
        """Prints what each policy would do."""
        lines = [planned.in_words for planned in self.policies.values()]
        answer(
            {"run_id": self.run_id, "status": self.status, "dry_run": True, "policies": self.policies},
            *lines,
            "",
            f"Dagster run {self.run_id}: {self.status}, a dry run: nothing was deleted",
            as_json=as_json,
        )
        for failure in self.failures:
            if failure.policy not in self.policies:  # else its line has the reason
                complain(f"{failure.step}: {failure.reason}")

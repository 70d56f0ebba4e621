"""`opsctl run`: starts the nightly run now, as a Dagster run, and shows its progress."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import psycopg
import typer
from rich.console import Console
from rich.live import Live

from ops_pipeline import settings
from ops_pipeline.cli import tables
from ops_pipeline.cli.context import check_policies, connections, opened_policies
from ops_pipeline.cli.output import NEEDS_APPROVAL, Json, answer, complain, console, notes
from ops_pipeline.cli.table import Table
from ops_pipeline.counted import counted
from ops_pipeline.maintenance import history
from ops_pipeline.maintenance.kinds import kind_of
from ops_pipeline.maintenance.result import RunResult
from ops_pipeline.policies.file import PolicyError
from ops_pipeline.policies.model import Policies
from ops_pipeline.postgres.connection import DatabaseUnavailableError, connect
from ops_pipeline.postgres.ready import refuse_unmigrated

if TYPE_CHECKING:
    from ops_pipeline.orchestration.failure import FailedStep  # Dagster takes seconds to import

REFRESHES_A_SECOND = 4


def run(as_json: Json = False) -> None:
    """Run every policy now, as a Dagster run, and wait for it to end.

    Exits with 3 if nothing failed but a policy needs approval; with 1 if a
    policy failed, was refused, has rows remaining, or is paused.
    """
    with opened_policies(check=False) as (resolved, policies):
        with suppress(PolicyError):  # only the policy with the problem fails, and its step reports it
            check_policies(resolved, policies, writes=True)
        report = run_policies(resolved, policies, notes if as_json else console)
    show(report, as_json=as_json)
    if report.exit_code == 0:
        _send_heartbeats(resolved, policies)
    raise typer.Exit(report.exit_code)


def _send_heartbeats(resolved: settings.Settings, policies: Policies) -> None:
    """Where cron runs this command, no daemon sends them."""
    from ops_pipeline.orchestration import heartbeat  # noqa: PLC0415 - an HTTP client takes a while to import

    for problem in heartbeat.call_all(resolved, [database.name for database in policies.databases]):
        complain(problem)


@dataclass(frozen=True, slots=True)
class RunReport:
    """The result of a run of all policies. `deleting`: the names of the policies that delete rows."""

    run_id: str
    status: str
    succeeded: bool
    policies: tuple[RunResult, ...]
    failures: "tuple[FailedStep, ...]"
    deleting: frozenset[str]

    @property
    def nothing_remaining(self) -> bool:
        """Whether no expired or orphaned rows remain."""
        return all(result.left == 0 for result in self.policies if result.policy in self.deleting)

    @property
    def exit_code(self) -> int:
        """0: done. NEEDS_APPROVAL: nothing failed, but plans need approval. Else 1, also while maintenance is
        paused: the Dagster run has not failed, but a policy was not carried out."""
        if self.succeeded:
            return 1 if self.paused else 0
        waiting = all(failure.outcome == "needs_approval" for failure in self.failures)
        return NEEDS_APPROVAL if self.needs_approval and waiting else 1

    @property
    def paused(self) -> tuple[RunResult, ...]:
        """The policies that were not carried out, or not to the end, because maintenance is paused."""
        return tuple(result for result in self.policies if result.outcome == "paused")

    @property
    def needs_approval(self) -> tuple[RunResult, ...]:
        """The policies whose plan must be approved before rows are deleted."""
        return tuple(result for result in self.policies if result.outcome == "needs_approval")

    def after(self, earlier: "RunReport") -> "RunReport":
        """This run, with the numbers of an earlier run of the same policies added."""
        together = tuple(
            replace(
                result,
                removed=result.removed + before.removed,
                archived=result.archived + before.archived,
                examined=max(result.examined, before.examined),
                seconds=result.seconds + before.seconds,
            )
            for result, before in zip(self.policies, earlier.policies, strict=True)
        )
        return replace(self, policies=together)


def run_policies(resolved: settings.Settings, policies: Policies, console: Console) -> RunReport:
    """Runs the policies as a Dagster run and shows their progress on the console."""
    from ops_pipeline.orchestration import launch  # noqa: PLC0415 - Dagster takes seconds to import

    urls = [database.url(settings.environment(resolved)) for database in policies.databases]
    with watching(console, urls):
        ended = launch.run_nightly_job(resolved)
    results = {
        result.policy: result
        for _, connection in connections(resolved, policies.databases, "opsctl run", [], refuse_unmigrated)
        for result in history.results(connection, dagster_run_id=ended.id)
    }
    complete = tuple(
        results.get(policy.name) or _not_run(policy.name, ended.failures) for _, policy in policies
    )
    deleting = frozenset(policy.name for _, policy in policies if kind_of(policy).deletes)
    return RunReport(ended.id, ended.status, ended.succeeded, complete, ended.failures, deleting)


def _not_run(name: str, failures: "Sequence[FailedStep]") -> RunResult:
    reasons = (failure.reason for failure in failures if failure.policy == name)
    reason = next(reasons, "it did not start; for the reason, open the run in the Dagster UI")
    return RunResult(name, "skipped", reason, examined=0, removed=0, left=None, seconds=0)


@contextmanager
def watching(console: Console, urls: Sequence[str]) -> Iterator[None]:
    """Shows the policies' progress until the context ends; only on a terminal."""
    if not console.is_terminal:
        yield
        return
    started = datetime.now(UTC)
    results: list[RunResult] = []

    def progress() -> Table:
        with suppress(DatabaseUnavailableError, psycopg.Error):  # the run itself reports the database
            results[:] = _results_since(urls, started)
        return tables.results_table(results)

    with Live(
        get_renderable=progress, console=console, transient=True, refresh_per_second=REFRESHES_A_SECOND
    ):
        yield


def _results_since(urls: Sequence[str], started: datetime) -> list[RunResult]:
    results: list[RunResult] = []
    for url in urls:
        with connect(url, "opsctl watch", statement_timeout="2s") as connection:
            results += history.results(connection, since=started)
    return results


def show(report: RunReport, *, as_json: bool) -> None:
    """Prints the result of a run."""
    if as_json:
        answer({"run_id": report.run_id, "status": report.status, "policies": report.policies}, as_json=True)
    else:
        show_results(console, report)


def show_results(to: Console, report: RunReport) -> None:
    """Prints a table of what each policy did, why policies stopped, and the status of the Dagster run."""
    to.print()
    to.print(tables.results_table(report.policies))
    for result in report.policies:
        if waiting := result.details.get("in_grace"):
            why = result.details.get("waits_for", "a later run deletes them")
            remain = f"{counted(waiting, 'orphan')} {'remains' if waiting == 1 else 'remain'}"
            to.print(f"{result.policy}: {remain} for a later run: {why}", markup=False)
        if result.removed and (unrecorded := result.details.get(history.UNRECORDED)):
            to.print(f"{result.policy}: {unrecorded}", markup=False)
        if result.outcome == "observed":
            to.print(f"{result.policy}: {result.stopped_reason}", markup=False)
    _complain(report)
    colour = "green" if report.succeeded else "red"
    why = ", because a plan needs approval" if report.exit_code == NEEDS_APPROVAL else ""
    why = ", but maintenance is paused" if report.succeeded and report.paused else why
    to.print(f"\nDagster run {report.run_id}: [{colour}]{report.status}[/]{why}")


def _complain(report: RunReport) -> None:
    """Prints why policies are not done, each once."""
    steps = {failure.policy: failure.reason for failure in report.failures if failure.policy}
    for reason in dict.fromkeys(result.stopped_reason for result in report.paused):
        names = ", ".join(result.policy for result in report.paused if result.stopped_reason == reason)
        complain(f"{names}: {reason}")
    for result in report.policies:
        if result.policy in steps:
            complain(steps[result.policy])  # it begins with the policy's name
        elif result.outcome not in {"done", "observed", "paused"}:
            complain(f"{result.policy} {result.outcome}: {result.stopped_reason}")
    for failure in report.failures:
        if failure.policy is None:
            complain(f"{failure.step}: {failure.reason}")

"""`opsctl run`: the nightly run by hand, shown as it goes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import psycopg
import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from ops_pipeline import settings
from ops_pipeline.cli import tables
from ops_pipeline.cli.context import check_policies, connections, opened_policies
from ops_pipeline.cli.output import Json, answer, complain, console, notes
from ops_pipeline.maintenance import history
from ops_pipeline.maintenance.result import RunResult
from ops_pipeline.policies.file import PolicyError
from ops_pipeline.policies.model import Policies
from ops_pipeline.postgres.connection import DatabaseUnavailableError, connect

REFRESHES_A_SECOND = 4


def run(as_json: Json = False) -> None:
    """Carry every policy out now, as a Dagster run, and wait for it."""
    with opened_policies(check=False) as (resolved, policies):
        with suppress(PolicyError):  # fails its own policy, which says so, and none of the others
            check_policies(resolved, policies)
        report = run_policies(resolved, policies, notes if as_json else console)
    show(report, as_json=as_json)
    raise typer.Exit(0 if report.succeeded else 1)


@dataclass(frozen=True, slots=True)
class RunReport:
    """What a run of all policies came to."""

    run_id: str
    status: str
    succeeded: bool
    policies: tuple[RunResult, ...]
    failures: tuple[str, ...]

    @property
    def nothing_remaining(self) -> bool:
        """Whether no policy that removes rows has left any."""
        return all(result.left == 0 for result in self.policies if "/vacuum" not in result.policy)

    @property
    def needs_approval(self) -> tuple[RunResult, ...]:
        """The policies whose plan a person has to approve before anything is removed."""
        return tuple(result for result in self.policies if result.outcome == "needs_approval")

    def after(self, earlier: "RunReport") -> "RunReport":
        """This run, with what an earlier one of the same policies had removed counted in."""
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
    """Carries the policies out as a Dagster run, showing them on the console as they go."""
    from ops_pipeline.orchestration import launch  # noqa: PLC0415 - Dagster takes seconds to import

    urls = [database.url(settings.environment(resolved)) for database in policies.databases]
    with watching(console, urls):
        ended = launch.run_nightly_job(resolved)
    results = {
        result.policy: result
        for _, connection in connections(resolved, policies.databases, "opsctl run", [])
        for result in history.results(connection, dagster_run_id=ended.id)
    }
    complete = tuple(results.get(policy.name) or _not_run(policy.name) for _, policy in policies)
    return RunReport(ended.id, ended.status, ended.succeeded, complete, ended.failures)


def _not_run(name: str) -> RunResult:
    reason = "it could not begin; the failure of its step says why"
    return RunResult(name, "skipped", reason, examined=0, removed=0, left=None, seconds=0)


@contextmanager
def watching(console: Console, urls: Sequence[str]) -> Iterator[None]:
    """Shows the policies' progress while the context lasts; on a terminal only."""
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
    """What a run came to."""
    if as_json:
        answer({"run_id": report.run_id, "status": report.status, "policies": report.policies}, as_json=True)
    else:
        show_results(console, report)


def show_results(to: Console, report: RunReport) -> None:
    """A table of what each policy did, why any of them stopped, and how Dagster's run ended."""
    to.print()
    to.print(tables.results_table(report.policies))
    reasons = tables.reasons(report.policies)
    # A check that repeats why its policy stopped says nothing new.
    others = [
        failure
        for failure in report.failures
        if not any(failure.partition(": ")[2] in reason for reason in reasons)
    ]
    for failure in (*reasons, *others):
        complain(failure)
    colour = "green" if report.succeeded else "red"
    to.print(f"\nDagster run {report.run_id}: [{colour}]{report.status}[/]")

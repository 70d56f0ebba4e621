"""`opsctl run`: starts the nightly run now, or a part of it, as a Dagster run, and shows its progress."""

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from ops_pipeline import settings
from ops_pipeline.cli.context import check_policies, chosen_databases, connections, opened_policies
from ops_pipeline.cli.options import Database
from ops_pipeline.cli.output import Json, complain, console, notes
from ops_pipeline.cli.progress import watching
from ops_pipeline.cli.run_report import DryRunReport, RunReport, show
from ops_pipeline.maintenance import history
from ops_pipeline.maintenance.kinds import kind_of
from ops_pipeline.maintenance.result import RunResult
from ops_pipeline.nearest import nearest
from ops_pipeline.policies.file import PolicyError
from ops_pipeline.policies.model import Policies, Policy
from ops_pipeline.postgres.ready import refuse_unmigrated

if TYPE_CHECKING:
    from ops_pipeline.orchestration.launch import EndedRun  # Dagster takes seconds to import


def run(
    names: Annotated[
        list[str] | None,
        typer.Option(
            "--policy", help="Only this policy, such as app/retention/sessions; may be given several times."
        ),
    ] = None,
    chosen: Database = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Report what each policy would do, and delete nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Run every policy now, or those that are named, as a Dagster run, and wait for it to end.

    Ctrl-C cancels the run; what was committed is kept. Exits with 3 if
    nothing failed but a policy needs approval; with 1 if a policy failed,
    was refused, stopped early (rows remain, VACUUM was blocked), or is
    paused; with 130 if the run was canceled.
    """
    say = notes if as_json else console
    with opened_policies(check=False) as (resolved, every):
        policies = Policies(tuple(chosen_databases(resolved, every, chosen)))
        selected = _selected(policies, names or [])
        with suppress(PolicyError):  # only the policy with the problem fails, and its step reports it
            check_policies(resolved, policies, writes=not dry_run)
        if dry_run:
            plan_policies(resolved, policies, selected, say, as_json=as_json)
        report = run_policies(resolved, policies, say, selected)
    show(report, as_json=as_json)
    if report.exit_code == 0 and not selected:
        _send_heartbeats(resolved, policies)
    raise typer.Exit(report.exit_code)


def _send_heartbeats(resolved: settings.Settings, policies: Policies) -> None:
    """Where cron runs this command, no daemon sends them."""
    from ops_pipeline.orchestration import heartbeat  # noqa: PLC0415 - an HTTP client takes a while to import

    for problem in heartbeat.call_all(resolved, [database.name for database in policies.databases]):
        complain(problem)


def _selected(policies: Policies, names: Sequence[str]) -> tuple[Policy, ...]:
    """The policies of those names. Raises PolicyError where one does not exist."""
    known = {policy.name: policy for _, policy in policies}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise PolicyError(
            [f'--policy: policy "{name}" does not exist; {nearest(name, list(known))}' for name in unknown]
        )
    return tuple(known[name] for name in dict.fromkeys(names))


def run_policies(
    resolved: settings.Settings, policies: Policies, console: Console, selected: Sequence[Policy] = ()
) -> RunReport:
    """Runs the policies as a Dagster run, or only those `selected`, and shows their progress."""
    ended = _run(resolved, policies, selected, console, dry_run=False)
    results = {
        result.policy: result
        for _, connection in connections(resolved, policies.databases, "opsctl run", [], refuse_unmigrated)
        for result in history.results(connection, dagster_run_id=ended.id)
    }
    wanted = selected or [policy for _, policy in policies]
    complete = tuple(results.get(policy.name) or _not_run(policy.name, ended) for policy in wanted)
    deleting = frozenset(policy.name for policy in wanted if kind_of(policy).deletes)
    return RunReport(ended.id, ended.status, complete, ended.failures, deleting)


def plan_policies(
    resolved: settings.Settings,
    policies: Policies,
    selected: Sequence[Policy],
    console: Console,
    *,
    as_json: bool,
) -> None:
    """Does a dry run of the policies as a Dagster run, shows it and exits."""
    ended = _run(resolved, policies, selected, console, dry_run=True)
    report = DryRunReport(ended.id, ended.status, ended.planned, ended.failures)
    report.show(as_json=as_json)
    raise typer.Exit(report.exit_code)


def _run(
    resolved: settings.Settings,
    policies: Policies,
    selected: Sequence[Policy],
    console: Console,
    *,
    dry_run: bool,
) -> "EndedRun":
    urls = [database.url(settings.environment(resolved)) for database in policies.databases]
    with watching(console, urls) as progress:
        progress.say("Starting Dagster")
        from ops_pipeline.orchestration import launch  # noqa: PLC0415 - Dagster takes seconds to import

        selection = launch.Selection(policies.databases, selected, dry_run)
        return launch.run_nightly_job(
            resolved, policies, selection, started=progress.started, report=progress.say
        )


def _not_run(name: str, ended: "EndedRun") -> RunResult:
    reasons = (failure.reason for failure in ended.failures if failure.policy == name)
    canceled = "the run was canceled before it started" if ended.canceled else None
    missing = canceled or "it did not start; for the reason, open the run in the Dagster UI"
    return RunResult(name, "skipped", next(reasons, missing), scanned=0, removed=0, remaining=None, seconds=0)

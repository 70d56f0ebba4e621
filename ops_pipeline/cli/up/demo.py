"""`opsctl demo`: fills a sample application, runs its policies, and does a run that needs approval."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

import sql
from ops_pipeline import settings
from ops_pipeline.audit.person import person
from ops_pipeline.cli import tables
from ops_pipeline.cli.context import check_policies, connections, opened_policies, url_of
from ops_pipeline.cli.embedded_option import program
from ops_pipeline.cli.imports import import_deliveries
from ops_pipeline.cli.output import Json, answer, console, notes
from ops_pipeline.cli.run import run_policies
from ops_pipeline.cli.run_report import RunReport, show_results
from ops_pipeline.cli.up import sample_application
from ops_pipeline.counted import counted
from ops_pipeline.maintenance import kinds, pending_plans
from ops_pipeline.maintenance.guard import approvals
from ops_pipeline.maintenance.guard.approvals import StoredPlan
from ops_pipeline.maintenance.retention.policy import Retention
from ops_pipeline.policies.model import Policies
from ops_pipeline.postgres.connection import connect
from ops_pipeline.postgres.relation import TableName

CLOUDTRAIL = Path("../shared/data/cloudtrail")
"""Where real CloudTrail events may be beside a checkout."""
SURPRISED = TableName("public", "sessions")
"""The table into which the demo loads old rows."""


def demo(
    scale: Annotated[
        float,
        typer.Option(
            min=0.001, help="How much data; 1 is 50,000 sessions, 250,000 memories, 300,000 audit events."
        ),
    ] = 1,
    seed: Annotated[int, typer.Option(help="The same seed makes the same rows.")] = 1,
    as_json: Json = False,
) -> None:
    """Fill an empty database with 120 days of a sample application's data, then run the policies.

    Refuses a database that has other tables. Plans, approves what needs
    approval, and runs. Then loads old rows, which the guard keeps from being
    deleted until a person approves. Exits with 0
    if the run succeeded with no rows remaining, and the guard stopped the
    second one. Without OPS_DATABASE_URL it uses an embedded PostgreSQL in
    .local/postgres.
    """
    say = notes if as_json else console
    command = program()
    with opened_policies(check=False, or_embedded=True) as (resolved, policies):
        _refuse_other_databases(resolved, policies)
        step = _steps(say)
        step("Filling the sample application")
        _fill(resolved, seed, scale, say)
        check_policies(resolved, policies)
        step(f"Planning the first run, as `{command} plan` does")
        pending = _plan(resolved, policies, say)
        _approve(resolved, policies, pending, command, step)
        step(f"Running every policy, as `{command} run` and the schedule do")
        report = run_policies(resolved, policies, say)
        show_results(say, report)
        blocked = _surprise(resolved, policies, say, step) if report.succeeded else None
    as_promised = report.nothing_remaining and blocked is not None and bool(blocked.needs_approval)
    if as_json:
        answer(_as_json(report, blocked), as_json=True)
    elif blocked is not None and blocked.needs_approval:
        _what_next(blocked, command)
    raise typer.Exit(0 if report.succeeded and as_promised else 1)


def _refuse_other_databases(resolved: settings.Settings, policies: Policies) -> None:
    """Raises DemoRefusedError where a policy is on another database than the demo's: all will be approved."""
    for database in policies.databases:
        if database.url(settings.environment(resolved)) != url_of(resolved):
            raise sample_application.DemoRefusedError(
                f"{resolved.policies} has the database {database.name}, which is not the demo's; nothing was "
                "changed. The demo approves and runs every policy, so it only takes a file with one database "
                "whose url is ${OPS_DATABASE_URL}: set OPS_POLICIES to such a file"
            )


def _steps(say: Console) -> Callable[[str], None]:
    """Prints what the demo does next, numbered."""
    done: list[str] = []

    def step(sentence: str) -> None:
        done.append(sentence)
        say.print(f"\n{len(done)}. {sentence}", style="bold", markup=False, highlight=False)

    return step


def _fill(resolved: settings.Settings, seed: int, scale: float, say: Console) -> None:
    filled = sample_application.fill(url_of(resolved), seed=seed, scale=scale, report=say.print)
    deliveries = resolved.demo_cloudtrail or CLOUDTRAIL
    if filled.created and deliveries.is_dir():
        imported = import_deliveries(resolved, [deliveries])
        say.print(f"Imported {imported.stored:,} CloudTrail events from {deliveries}")


def _plan(resolved: settings.Settings, policies: Policies, say: Console) -> Sequence[StoredPlan]:
    """Plans every policy, shows the plan and stores what needs approval."""
    plans = list(kinds.plan_all(policies, settings.environment(resolved)))
    say.print(tables.plan_table(plans))
    pending: list[StoredPlan] = []
    for database, connection in connections(resolved, policies.databases, "opsctl plan", []):
        pending += pending_plans.store(connection, database.policies, plans).pending
    for plan in pending:
        say.print(f"{plan.policy} needs approval: {'; '.join(plan.reasons)}", markup=False)
    return pending


def _approve(
    resolved: settings.Settings,
    policies: Policies,
    pending: Sequence[StoredPlan],
    command: str,
    step: Callable[[str], None],
) -> None:
    """Approves the plans as an operator would; the orphans that they make are approved with them."""
    wanted = {plan.id for plan in approvals.to_approve(pending)}
    for plan_id in wanted:
        step(f"Approving what the guard would stop, as `{command} approve {plan_id}` does")
    for _, connection in connections(resolved, policies.databases, "opsctl approve", []):
        for plan_id in wanted.intersection(plan.id for plan in approvals.pending(connection)):
            approvals.approve(connection, plan_id, by=person())


def _surprise(
    resolved: settings.Settings, policies: Policies, say: Console, step: Callable[[str], None]
) -> RunReport | None:
    """Loads old rows into a table and runs its policy, which the guard then stops."""
    surprised = [policy for _, policy in policies.of_type(Retention) if policy.table == SURPRISED]
    if not surprised:
        return None
    with connect(url_of(resolved), "opsctl demo") as connection:
        rows = counted(connection.execute(sql.demo("surprise")).rowcount, "old row")
    step(f"A surprise: {rows} loaded into sessions, as by a wrong import. Running its policy again")
    return run_policies(resolved, policies, say, surprised)


def _what_next(blocked: RunReport, command: str) -> None:
    console.print()
    for result in blocked.needs_approval:
        console.print(f"{result.policy}: {result.stopped_reason}", style="yellow", markup=False)
    console.print("\nThe run needs approval. Nothing was deleted. To approve the plan:")
    plan = blocked.needs_approval[0].details["plan"]
    console.print(f"  in the Dagster UI: [bold]make up[/], then the run {blocked.run_id}")
    console.print(f"  in this terminal:  [bold]{command} approve {plan}[/] && [bold]{command} run[/]")
    console.print(f"Look around first:   [bold]{command} status[/]")


def _as_json(report: RunReport, blocked: RunReport | None) -> dict[str, object]:
    surprise = None
    if blocked is not None:
        surprise = {"run_id": blocked.run_id, "policies": blocked.policies}
    return {
        "run_id": report.run_id,
        "status": report.status,
        "policies": report.policies,
        "surprise": surprise,
    }

"""`opsctl demo`: fills a sample application and does a nightly run on it."""

from pathlib import Path
from typing import Annotated

import typer

from ops_pipeline import settings
from ops_pipeline.cli.context import check_policies, connections, opened_policies, opsctl, url_of
from ops_pipeline.cli.imports import import_deliveries
from ops_pipeline.cli.output import Json, console, notes
from ops_pipeline.cli.run import RunReport, run_policies, show, show_results
from ops_pipeline.cli.up import sample_application
from ops_pipeline.maintenance.guard import approvals
from ops_pipeline.policies.model import Policies

CLOUDTRAIL = Path("../shared/data/cloudtrail")
"""Where real CloudTrail events may be beside a checkout."""
APPROVALS = 3
"""How often plans may need approval: rows deleted by retention make orphans, which need another plan."""


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

    Approves each plan that needs it. Without OPS_DATABASE_URL it uses an
    embedded PostgreSQL in .local/postgres.
    """
    say = notes if as_json else console
    command = opsctl()
    with opened_policies(check=False, or_embedded=True) as (resolved, policies):
        filled = sample_application.fill(url_of(resolved), seed=seed, scale=scale, report=say.print)
        deliveries = resolved.demo_cloudtrail or CLOUDTRAIL
        if filled.created and deliveries.is_dir():
            imported = import_deliveries(resolved, [deliveries])
            say.print(f"Imported {imported.stored:,} CloudTrail events from {deliveries}")
        check_policies(resolved, policies)
        report = run_policies(resolved, policies, say)
        for _ in range(APPROVALS):
            if not report.needs_approval:
                break
            show_results(say, report)
            say.print(
                "\nThe demo now approves what needs approval, as an operator would with `opsctl approve`.\n"
            )
            _approve(resolved, policies, report)
            report = run_policies(resolved, policies, say).after(report)
            say.print("\nAll runs together:")
    show(report, as_json=as_json)
    if not as_json:
        console.print("\nSee it in the Dagster UI: [bold]make up[/]")
        console.print(f"Work on its database:     [bold]{command} plan[/]")
    raise typer.Exit(0 if report.succeeded and report.nothing_remaining else 1)


def _approve(resolved: settings.Settings, policies: Policies, report: RunReport) -> None:
    plans = {result.policy: str(result.details["plan"]) for result in report.needs_approval}
    for database, connection in connections(resolved, policies.databases, "opsctl approve", []):
        for policy in database.policies:
            if policy.name in plans:
                approvals.approve(connection, plans[policy.name], by="demo")

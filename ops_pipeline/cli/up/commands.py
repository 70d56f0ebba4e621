"""`opsctl demo`, `up`: the whole system on this machine."""

from typing import Annotated

import typer

from ops_pipeline import settings
from ops_pipeline.cli import maintenance
from ops_pipeline.cli.context import opened_policies, url_of
from ops_pipeline.cli.imports import CLOUDTRAIL, import_deliveries
from ops_pipeline.cli.night import show, show_results
from ops_pipeline.cli.output import Json, complain, console, notes
from ops_pipeline.cli.up import demo as sample
from ops_pipeline.cli.up import services
from ops_pipeline.policies.file import PolicyError

app = typer.Typer()

NIGHTS = 3
"""How often plans may have to be approved: what retention removes makes orphans, whose plan is another."""


@app.command()
def demo(
    scale: Annotated[
        float, typer.Option(min=0.001, help="1 is 50,000 sessions and what goes with them.")
    ] = 1,
    seed: Annotated[int, typer.Option(help="The same seed makes the same rows.")] = 1,
    as_json: Json = False,
) -> None:
    """Fill an empty database with a sample application's 120 days, then carry the policies out."""
    say = notes if as_json else console
    ask = _opsctl()
    with opened_policies(check=False, or_embedded=True) as (resolved, policies):
        filled = sample.fill(url_of(resolved), seed=seed, scale=scale, report=say.print)
        deliveries = resolved.demo_cloudtrail or CLOUDTRAIL
        if filled.created and deliveries.is_dir():
            imported = import_deliveries(resolved, [deliveries])
            say.print(f"Imported {imported.stored:,} CloudTrail events from {deliveries}")
        maintenance.check(resolved, policies)
        night = maintenance.run(resolved, policies, say)
        for _ in range(NIGHTS):
            if not night.guarded:
                break
            show_results(say, night)
            say.print("\nThe demo approves these plans, as a person would, and goes on.\n")
            maintenance.approve(resolved, policies, night, by="demo")
            night = maintenance.run(resolved, policies, say).after(night)
    show(night, as_json=as_json)
    if not as_json:
        console.print("\nSee it in the Dagster UI: [bold]make up[/]")
        console.print(f"Work on its database:     [bold]{ask} plan[/]")
    raise typer.Exit(0 if night.succeeded and night.nothing_left else 1)


@app.command()
def up() -> None:
    """Keep the database, the Dagster UI and its daemon, and the API running until Ctrl-C."""
    ask = _opsctl()
    with opened_policies(check=False, or_embedded=True) as (resolved, policies):
        for each in maintenance.migrate(resolved, policies):
            if each.failed is not None:
                complain(f"{each.database} was not migrated: {each.failed}")
        try:
            maintenance.check(resolved, policies)
        except PolicyError as error:
            complain(f"{error}\nThese policies fail until that is fixed; the others run.")
        environment = maintenance.environment(resolved)
        console.print(f"Dagster  http://{resolved.dagster_host}:{resolved.dagster_port}")
        console.print(f"API      http://{resolved.api_host}:{resolved.api_port}/schema")
        console.print(f"Commands {ask} plan")
        console.print(f"Logs in {settings.LOCAL / 'log'}. Ctrl-C stops everything.")
        told = services.run(
            services.of(resolved),
            environment,
            settings.LOCAL / "log",
            stop_within=resolved.shutdown_timeout_seconds + services.KILL_AFTER_SECONDS,
            report=complain,
        )
    if not told:
        raise typer.Exit(1)
    console.print("Everything has stopped.")


def _opsctl() -> str:
    """How a person calls `opsctl` for the same database."""
    return ".venv/bin/opsctl" if settings.load().database_url else ".venv/bin/opsctl --embedded"

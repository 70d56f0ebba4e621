"""`opsctl migrate`, `plan`, `run`: the night by hand."""

import typer

from ops_pipeline import database, embedded, nightly, settings, terminal
from ops_pipeline.cli.opened import opened_policies, url_of
from ops_pipeline.cli.output import Json, complain, console, notes, print_json
from ops_pipeline.maintenance import partitions

app = typer.Typer()


@app.command()
def migrate(as_json: Json = False) -> None:
    """Create or update our tables: audit_logs and the schema ops. The application's stay as they are."""
    with embedded.resolved(settings.load()) as resolved:
        applied = database.migrate(url_of(resolved))
        with database.connect(url_of(resolved), "opsctl migrate") as connection:
            created = partitions.ensure_ahead(connection, "public.audit_logs")
    if as_json:
        print_json({"applied": applied, "partitions_created": created})
    else:
        console.print(f"Applied: {', '.join(applied) or 'nothing, the schema is up to date'}")
        console.print(f"Day partitions of audit_logs created ahead: {created}")


@app.command()
def plan(as_json: Json = False) -> None:
    """Count what each policy would remove now. Removes nothing."""
    with opened_policies() as (resolved, policies):
        planned = nightly.plan(resolved, policies)
    if as_json:
        print_json({"policies": planned})
    else:
        console.print(terminal.plan_table(planned))


@app.command()
def run(as_json: Json = False) -> None:
    """Carry every policy out now, as a Dagster run, and wait for it."""
    with opened_policies() as (resolved, policies):
        night = nightly.run(resolved, policies, notes if as_json else console)
    show(night, as_json=as_json)
    raise typer.Exit(0 if night.succeeded else 1)


def show(night: nightly.Night, *, as_json: bool) -> None:
    """What a night came to."""
    if as_json:
        print_json({"run_id": night.run_id, "status": night.status, "policies": night.policies})
        return
    console.print()
    console.print(terminal.results_table(night.policies))
    for failure in (*terminal.reasons(night.policies), *night.failures):
        complain(failure)
    colour = "green" if night.succeeded else "red"
    console.print(f"\nDagster run {night.run_id}: [{colour}]{night.status}[/]")

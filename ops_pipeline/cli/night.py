"""`opsctl migrate`, `plan`, `run`: the night by hand."""

from contextlib import suppress

import typer
from rich.console import Console

from ops_pipeline import settings
from ops_pipeline.cli import maintenance, tables
from ops_pipeline.cli.context import opened_policies
from ops_pipeline.cli.output import Json, complain, console, notes, print_json
from ops_pipeline.maintenance import kinds
from ops_pipeline.maintenance.plan import Plan, Unplanned
from ops_pipeline.policies.file import PolicyError
from ops_pipeline.postgres import embedded

app = typer.Typer()


@app.command()
def migrate(as_json: Json = False) -> None:
    """Create or update our tables in every database of the policies: audit_logs and the schema ops.

    The application's tables stay as they are.
    """
    loaded = settings.load()
    policies = kinds.load(loaded.policies) if loaded.policies.exists() else None
    with embedded.resolved(loaded) as resolved:
        migrated = maintenance.migrate(resolved, policies)
    if as_json:
        print_json({"databases": migrated})
    for each in migrated:
        if each.failed is not None:
            complain(f"{each.database} was not migrated: {each.failed}")
        elif not as_json:
            applied = ", ".join(each.applied) or "nothing, the schema is up to date"
            console.print(f"{each.database}: applied {applied}")
            console.print(
                f"{each.database}: day partitions of audit_logs created ahead: {each.partitions_created}"
            )
    if any(each.failed is not None for each in migrated):
        raise typer.Exit(1)


@app.command()
def plan(as_json: Json = False) -> None:
    """Count what each policy would remove now, and ask the guard. Removes nothing."""
    with opened_policies(check=False) as (resolved, policies):
        planned = maintenance.plan(resolved, policies)
    if as_json:
        print_json({"policies": planned})
    else:
        console.print(tables.plan_table(planned))
        for note in tables.plan_notes(planned):
            console.print(note, markup=False, highlight=False)
    # A database that is away is one problem of all its policies.
    unplanned: dict[str, list[str]] = {}
    for each in planned:
        if isinstance(each, Unplanned):
            unplanned.setdefault(each.problem, []).append(each.policy)
    for problem, names in unplanned.items():
        complain(f"{', '.join(names)} cannot be planned: {problem}")
    refused = any(isinstance(each, Plan) and each.refusals for each in planned)
    raise typer.Exit(1 if unplanned or refused else 0)


@app.command()
def run(as_json: Json = False) -> None:
    """Carry every policy out now, as a Dagster run, and wait for it."""
    with opened_policies(check=False) as (resolved, policies):
        with suppress(PolicyError):  # fails its own policy, which says so, and none of the others
            maintenance.check(resolved, policies)
        night = maintenance.run(resolved, policies, notes if as_json else console)
    show(night, as_json=as_json)
    raise typer.Exit(0 if night.succeeded else 1)


def show(night: maintenance.Night, *, as_json: bool) -> None:
    """What a night came to."""
    if as_json:
        print_json({"run_id": night.run_id, "status": night.status, "policies": night.policies})
    else:
        show_results(console, night)


def show_results(to: Console, night: maintenance.Night) -> None:
    """A table of what each policy did, why any of them stopped, and how Dagster's run ended."""
    to.print()
    to.print(tables.results_table(night.policies))
    reasons = tables.reasons(night.policies)
    # A check that repeats why its policy stopped tells nothing new.
    others = [each for each in night.failures if not any(each.partition(": ")[2] in told for told in reasons)]
    for failure in (*reasons, *others):
        complain(failure)
    colour = "green" if night.succeeded else "red"
    to.print(f"\nDagster run {night.run_id}: [{colour}]{night.status}[/]")

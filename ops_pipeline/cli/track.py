"""`opsctl track`: the triggers that record which keys a parent loses, for its children to be found by."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.table import Table

from ops_pipeline import settings
from ops_pipeline.audit.person import person
from ops_pipeline.cli.context import opened_policies
from ops_pipeline.cli.output import Json, console, print_json
from ops_pipeline.maintenance.orphans import track as record
from ops_pipeline.maintenance.orphans import triggers
from ops_pipeline.maintenance.orphans.policy import Orphans
from ops_pipeline.maintenance.orphans.triggers import TrackRefusedError, Trigger
from ops_pipeline.nearest import nearest
from ops_pipeline.postgres.connection import Connection, connect
from ops_pipeline.postgres.migrations import migrate

app = typer.Typer(help="Triggers that record the keys a parent loses.", no_args_is_help=True)

Policy = Annotated[str, typer.Argument(help="A policy by its name, such as app/orphans/memories.")]


@app.command()
def install(name: Policy, as_json: Json = False) -> None:
    """Put the triggers of a policy on its parent and each of its partitions, or put right what is there."""
    with _policy(name) as (connection, rule):
        _show(triggers.install(connection, rule, by=person()), as_json=as_json, done="installed")


@app.command()
def remove(name: Policy, as_json: Json = False) -> None:
    """Drop the triggers of a policy and forget what they recorded; the next run sweeps the whole table."""
    with _policy(name) as (connection, rule):
        _show(triggers.remove(connection, rule.name, by=person()), as_json=as_json, done="removed")


@app.command("list")
def list_tracks(as_json: Json = False) -> None:
    """Show the triggers of every orphans policy, and the tables where one is missing or off."""
    found: list[Trigger] = []
    missing: dict[str, tuple[str, ...]] = {}
    with opened_policies() as (resolved, policies):
        for each, rule in policies.of_type(Orphans):
            with connect(each.url(settings.environment(resolved)), "opsctl track") as connection:
                found += triggers.triggers(connection, rule.name)
                missing[rule.name] = record.tables_without_triggers(connection, rule) if rule.track else ()
    if as_json:
        print_json({"triggers": list(map(_as_json, found)), "missing": missing})
        return
    console.print(_table(found))
    for name, tables in missing.items():
        if tables:
            console.print(f"{name}: missing or off on {', '.join(tables)}: opsctl track install {name}")


@contextmanager
def _policy(name: str) -> Iterator[tuple[Connection, Orphans]]:
    with opened_policies() as (resolved, policies):
        rules = {rule.name: (of, rule) for of, rule in policies.of_type(Orphans)}
        if name not in rules:
            raise TrackRefusedError(
                f'There is no orphans policy "{name}"; {nearest(name, list(rules))}. Nothing was changed'
            )
        of, rule = rules[name]
        url = of.url(settings.environment(resolved))
        migrate(url)
        with connect(url, "opsctl track") as connection:
            yield connection, rule


def _show(found: list[Trigger], *, as_json: bool, done: str) -> None:
    if as_json:
        print_json({"triggers": list(map(_as_json, found))})
        return
    console.print(_table(found))
    console.print(f"Triggers {done}: {len(found)}. The next run sweeps the whole table once.")


def _table(found: list[Trigger]) -> Table:
    table = Table("policy", "table", "trigger", box=None, pad_edge=False, header_style="bold")
    for each in found:
        table.add_row(each.policy, str(each.table), each.name)
    return table


def _as_json(trigger: Trigger) -> dict[str, str]:
    return {"policy": trigger.policy, "name": trigger.name, "table": str(trigger.table)}

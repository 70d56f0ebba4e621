"""`opsctl track`: installs and removes the triggers that record the keys of deleted parents.

With them an orphans policy finds the children of deleted parents without scanning the whole table.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from ops_pipeline import settings
from ops_pipeline.audit.person import person
from ops_pipeline.cli import tables
from ops_pipeline.cli.context import opened_policies
from ops_pipeline.cli.output import Json, answer
from ops_pipeline.maintenance.orphans import track as record
from ops_pipeline.maintenance.orphans import triggers
from ops_pipeline.maintenance.orphans.policy import Orphans
from ops_pipeline.maintenance.orphans.triggers import TrackRefusedError, Trigger
from ops_pipeline.nearest import nearest
from ops_pipeline.opsctl import opsctl
from ops_pipeline.policies.connection import connect_to
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.ready import refuse_unready
from ops_pipeline.postgres.rights import explained

app = typer.Typer(
    help="Install, list and remove the triggers that record deleted parents.", no_args_is_help=True
)

Policy = Annotated[str, typer.Argument(help="The policy's name, such as app/orphans/memories.session_id.")]


@app.command()
def install(name: Policy, as_json: Json = False) -> None:
    """Create or repair a policy's triggers on its parent table and on each of its partitions."""
    with _opened_policy(name) as (connection, policy):
        installed = triggers.install(connection, policy, by=person())
    effect = "The next run scans the whole table; later ones look up the children of deleted parents."
    _show(installed, f"Triggers installed: {len(installed)}. {effect}", as_json=as_json)


@app.command()
def remove(name: Policy, as_json: Json = False) -> None:
    """Drop a policy's triggers and what they recorded. Runs then scan the whole table."""
    with _opened_policy(name) as (connection, policy):
        removed = triggers.remove(connection, policy.name, by=person())
    effect = "Runs now scan the whole table."
    _show(removed, f"Triggers removed: {len(removed)}. {effect}", as_json=as_json)


@app.command("list")
def list_tracks(as_json: Json = False) -> None:
    """List the triggers of every orphans policy, and the tables where one is missing or disabled."""
    installed: list[Trigger] = []
    missing: dict[str, tuple[str, ...]] = {}
    with opened_policies() as (resolved, policies):
        for database, policy in policies.of_type(Orphans):
            with connect_to(database, settings.environment(resolved), "opsctl track") as connection:
                installed += triggers.triggers(connection, policy.name)
                missing[policy.name] = (
                    record.tables_without_triggers(connection, policy) if policy.track else ()
                )
    sentences = [
        f"{name}: missing or disabled on {', '.join(names)}. To fix it: {opsctl('track', 'install', name)}"
        for name, names in missing.items()
        if names
    ]
    content = {"triggers": list(map(_as_json, installed)), "missing": missing}
    shown = tables.triggers_table(installed) if installed else "No triggers are installed."
    answer(content, shown, *sentences, as_json=as_json)


@contextmanager
def _opened_policy(name: str) -> Iterator[tuple[Connection, Orphans]]:
    with opened_policies() as (resolved, policies):
        by_name = {policy.name: (database, policy) for database, policy in policies.of_type(Orphans)}
        if not by_name:
            raise TrackRefusedError("policies.yaml has no orphans policy. Nothing was changed")
        if name not in by_name:
            raise TrackRefusedError(
                f'orphans policy "{name}" does not exist; {nearest(name, list(by_name))}. Nothing was changed'
            )
        database, policy = by_name[name]
        environment = settings.environment(resolved)
        with connect_to(database, environment, "opsctl track") as connection, explained(connection):
            refuse_unready(connection)
            yield connection, policy


def _show(changed: list[Trigger], sentence: str, *, as_json: bool) -> None:
    content = {"triggers": list(map(_as_json, changed))}
    answer(content, tables.triggers_table(changed), sentence, as_json=as_json)


def _as_json(trigger: Trigger) -> dict[str, str]:
    return {"policy": trigger.policy, "name": trigger.name, "table": str(trigger.table)}

"""`opsctl history`: the runs that each database has recorded."""

from typing import Annotated

import typer

from ops_pipeline import settings
from ops_pipeline.cli import tables
from ops_pipeline.cli.context import connected_to
from ops_pipeline.cli.options import Database
from ops_pipeline.cli.output import Json, answer, fail_for
from ops_pipeline.maintenance import kinds
from ops_pipeline.maintenance.recent import RecordedRun, newest_runs
from ops_pipeline.nearest import nearest
from ops_pipeline.opsctl import opsctl
from ops_pipeline.policies.file import PolicyError


def history(
    policy: Annotated[
        str | None, typer.Option(help="A policy, such as app/retention/sessions. Unset: all of them.")
    ] = None,
    chosen: Database = None,
    limit: Annotated[int, typer.Option(min=1, help="How many runs.")] = 20,
    as_json: Json = False,
) -> None:
    """List the newest runs of every policy, or of one.

    Times are in UTC. A policy that policies.yaml no longer has keeps its
    history.
    """
    runs: list[RecordedRun] = []
    away: list[str] = []
    with connected_to(chosen, "opsctl history", away, writes=False) as connections:
        for _, connection in connections:
            runs += newest_runs(connection, policy=policy, limit=limit)
    if policy is not None and not (runs or away):
        _refuse_unknown(policy)
    runs = sorted(runs, key=lambda run: run.started_at, reverse=True)[:limit]
    none = [] if away else [f"No run is recorded yet. To start one: {_run(policy, chosen)}"]
    shown = [tables.history_table(runs)] if runs else none
    answer({"runs": runs, "unavailable": away}, *shown, as_json=as_json)
    fail_for(away)


def _refuse_unknown(policy: str) -> None:
    names = [known.name for _, known in kinds.load(settings.load().policies)]
    if policy not in names:
        raise PolicyError([f'--policy: policy "{policy}" does not exist; {nearest(policy, names)}'])


def _run(policy: str | None, chosen: str | None) -> str:
    return opsctl("run", policies=[policy]) if policy else opsctl("run", database=chosen)

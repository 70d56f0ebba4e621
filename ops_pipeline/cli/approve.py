"""`opsctl approve`: lets through, once, what the guard has stopped."""

from dataclasses import asdict
from typing import Annotated

import typer

from ops_pipeline.audit.person import person
from ops_pipeline.cli import tables
from ops_pipeline.cli.context import connected_to
from ops_pipeline.cli.hold import By
from ops_pipeline.cli.output import Json, answer, complain
from ops_pipeline.maintenance.guard import approvals
from ops_pipeline.postgres.rights import explained

Database = Annotated[
    str | None, typer.Option("--database", help="As policies.yaml calls it; all of them unless said.")
]


def approve(
    plan: Annotated[str | None, typer.Argument(help="The plan's id. Without one: those that wait.")] = None,
    by: By = None,
    chosen: Database = None,
    as_json: Json = False,
) -> None:
    """Let the next run carry out exactly that plan, once; without a plan, show those that wait."""
    if plan is None:
        _show_waiting(chosen, as_json=as_json)
        return
    approved, following = _approve(plan, by or person(), chosen)
    older = f" older than {approved.cutoff:%Y-%m-%d %H:%M} UTC" if approved.cutoff else ""
    answer(
        {**asdict(approved), "following": following},
        f"Approved: the next complete run of {approved.policy} may remove {approved.eligible:,} rows{older}.",
        *(f"With it: {each.policy}, {each.eligible:,} rows that will refer to none." for each in following),
        f"It is good for {'these plans' if following else 'this plan'} alone, and once. "
        "Run it now: opsctl run",
        as_json=as_json,
    )


def _approve(
    plan: str, by: str, chosen: str | None
) -> tuple[approvals.StoredPlan, list[approvals.StoredPlan]]:
    """The plan, and those that are approved with it."""
    missing: list[str] = []
    away: list[str] = []
    with connected_to(chosen, "opsctl approve", away) as connections:
        for _, connection in connections:
            try:
                with explained(connection):
                    return approvals.approve(connection, plan, by), approvals.following(connection, plan)
            except approvals.NoSuchPlanError as error:
                missing.append(str(error))
    raise approvals.ApprovalRefusedError("\n".join(dict.fromkeys([*missing, *away])))


def _show_waiting(chosen: str | None, *, as_json: bool) -> None:
    plans: list[approvals.StoredPlan] = []
    away: list[str] = []
    with connected_to(chosen, "opsctl approve", away, writes=False) as connections:
        for _, connection in connections:
            with explained(connection):
                plans += approvals.pending(connection)
    shown = tables.plans_table(plans) if plans else "No plan waits for an approval."
    answer({"plans": plans}, shown, as_json=as_json)
    for problem in away:
        complain(problem)
    if away:
        raise typer.Exit(1)

"""`opsctl approve`: lists the plans that need approval, or approves one of them for one run."""

from dataclasses import asdict
from typing import Annotated

import typer

from ops_pipeline.audit.person import person
from ops_pipeline.cli import tables
from ops_pipeline.cli.context import connected_to
from ops_pipeline.cli.hold import By
from ops_pipeline.cli.output import Json, answer, complain, counted
from ops_pipeline.maintenance.guard import approvals
from ops_pipeline.postgres.rights import explained

Database = Annotated[
    str | None, typer.Option("--database", help="A database of policies.yaml. Unset: all of them.")
]


def approve(
    plan: Annotated[str | None, typer.Argument(help="The plan's id. Unset: list pending approvals.")] = None,
    by: By = None,
    chosen: Database = None,
    as_json: Json = False,
) -> None:
    """Approve one plan for one run; without a plan, list pending approvals."""
    if plan is None:
        _show_waiting(chosen, as_json=as_json)
        return
    approved, following = _approve(plan, by or person(), chosen)
    older = f" older than {approved.cutoff:%Y-%m-%d %H:%M} UTC" if approved.cutoff else ""
    answer(
        {**asdict(approved), "following": following},
        f"Approved: the next complete run of {approved.policy} may delete {_rows(approved)}{older}.",
        *(
            f"Approved with it: {also.policy}, {_rows(also)} that this run makes orphans."
            for also in following
        ),
        f"The approval is for {'these plans' if following else 'this plan'} only, and for one run. "
        "To run it now: opsctl run",
        as_json=as_json,
    )


def _rows(plan: approvals.StoredPlan) -> str:
    return f"{'' if plan.exact else 'about '}{counted(plan.eligible, 'row')}"


def _approve(
    plan: str, by: str, chosen: str | None
) -> tuple[approvals.StoredPlan, list[approvals.StoredPlan]]:
    """The plan, and the plans that are approved with it."""
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
    shown = tables.plans_table(plans) if plans else "No plan needs approval."
    answer({"plans": plans}, shown, as_json=as_json)
    for problem in away:
        complain(problem)
    if away:
        raise typer.Exit(1)

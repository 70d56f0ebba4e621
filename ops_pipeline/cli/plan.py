"""`opsctl plan`: shows what a run would delete now. Changes nothing."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Annotated

import typer

from ops_pipeline import settings
from ops_pipeline.cli import tables
from ops_pipeline.cli.check import without_policies
from ops_pipeline.cli.context import connections, opened_policies
from ops_pipeline.cli.output import NEEDS_APPROVAL, Json, answer, complain
from ops_pipeline.cli.pause import paused_lines
from ops_pipeline.maintenance import kinds
from ops_pipeline.maintenance.guard import approvals
from ops_pipeline.maintenance.plan import Plan, Unplanned
from ops_pipeline.policies.model import Policies
from ops_pipeline.postgres.ready import refuse_unmigrated
from ops_pipeline.postgres.rights import explained


def plan(
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Also list the tables that VACUUM would skip, and why.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Count what each policy would delete now, and what needs approval. Changes nothing.

    Exits with 3 if a plan needs approval; with 1 if a policy is refused or
    cannot be planned.
    """
    with opened_policies(check=False) as (resolved, policies):
        plans = list(kinds.plan_all(policies, settings.environment(resolved)))
        guarded = (each for each in plans if isinstance(each, Plan))
        waiting = {policy_plan.policy for policy_plan in guarded if policy_plan.stopped_by_guard}
        next_steps = [] if as_json or not waiting else _next_steps(resolved, policies, waiting)
        paused = paused_lines(resolved, policies.databases)
    paragraphs = (tables.plan_notes(plans, verbose=verbose), without_policies(policies), next_steps, paused)
    lines = [line for paragraph in paragraphs for line in _spaced(paragraph)]
    answer({"policies": plans, "paused": paused}, tables.plan_table(plans), *lines, as_json=as_json)
    # An unavailable database is reported once for all its policies.
    unplanned: defaultdict[str, list[str]] = defaultdict(list)
    for policy_plan in plans:
        if isinstance(policy_plan, Unplanned):
            unplanned[policy_plan.problem].append(policy_plan.policy)
    for problem, names in unplanned.items():
        complain(f"{', '.join(names)} cannot be planned: {problem}")
    refused = any(isinstance(policy_plan, Plan) and policy_plan.refusals for policy_plan in plans)
    if unplanned or refused:
        raise typer.Exit(1)
    if waiting:
        raise typer.Exit(NEEDS_APPROVAL)


def _spaced(paragraph: Iterable[str]) -> list[str]:
    lines = list(paragraph)
    return ["", *lines] if lines else []


def _next_steps(resolved: settings.Settings, policies: Policies, waiting: set[str]) -> Sequence[str]:
    """What to do about the plans that need approval. Only a run stores a plan, which then has an id."""
    away: list[str] = []
    stored: list[approvals.StoredPlan] = []
    approved: set[str] = set()
    for database, connection in connections(
        resolved, policies.databases, "opsctl plan", away, refuse_unmigrated
    ):
        with explained(connection):
            stored += [pending for pending in approvals.pending(connection) if pending.policy in waiting]
            approved |= {
                policy.name
                for policy in database.policies
                if policy.name in waiting and approvals.approved_plan(connection, policy.name)
            }
    without_id = sorted(waiting - approved - {pending.policy for pending in stored})
    return [
        *(f"{name} is approved for one run. To run it now: opsctl run" for name in sorted(approved)),
        *(
            f"To allow {pending.policy} once: opsctl approve {pending.id}"
            for pending in approvals.to_approve(stored)
        ),
        *([_get_id(without_id)] if without_id else []),
        *away,
    ]


def _get_id(names: Sequence[str]) -> str:
    return (
        f"To allow {', '.join(names)}: opsctl run, which deletes none of these rows but stores the plan and "
        "names its id; then: opsctl approve ID"
    )

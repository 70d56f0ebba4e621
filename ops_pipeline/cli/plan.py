"""`opsctl plan`: shows what a run would delete now. Changes nothing."""

from collections import defaultdict

import typer

from ops_pipeline import settings
from ops_pipeline.cli import tables
from ops_pipeline.cli.context import opened_policies
from ops_pipeline.cli.output import NEEDS_APPROVAL, Json, answer, complain
from ops_pipeline.cli.pause import paused_lines
from ops_pipeline.maintenance import kinds
from ops_pipeline.maintenance.plan import Plan, Unplanned


def plan(as_json: Json = False) -> None:
    """Count what each policy would delete now, and what needs approval. Changes nothing.

    Exits with 3 if a plan needs approval; with 1 if a policy is refused or
    cannot be planned.
    """
    with opened_policies(check=False) as (resolved, policies):
        plans = list(kinds.plan_all(policies, settings.environment(resolved)))
        paused = paused_lines(resolved, policies.databases)
    answer(
        {"policies": plans, "paused": paused},
        tables.plan_table(plans),
        *tables.plan_notes(plans),
        *paused,
        as_json=as_json,
    )
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
    if any(isinstance(policy_plan, Plan) and policy_plan.stopped_by_guard for policy_plan in plans):
        raise typer.Exit(NEEDS_APPROVAL)

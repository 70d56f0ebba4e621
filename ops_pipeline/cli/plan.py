"""`opsctl plan`: shows what a run would delete now, and stores the plans that need approval."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import typer

from ops_pipeline import settings
from ops_pipeline.cli import tables
from ops_pipeline.cli.check import without_policies
from ops_pipeline.cli.context import connections, opened_policies
from ops_pipeline.cli.output import NEEDS_APPROVAL, Json, answer, complain
from ops_pipeline.cli.pause import paused_lines
from ops_pipeline.maintenance import kinds, pending_plans
from ops_pipeline.maintenance.guard import approvals
from ops_pipeline.maintenance.guard.approvals import StoredPlan
from ops_pipeline.maintenance.plan import Plan, Unplanned
from ops_pipeline.opsctl import opsctl
from ops_pipeline.policies.model import Policies
from ops_pipeline.postgres.ready import refuse_unready
from ops_pipeline.postgres.rights import MissingRightError, explained


def plan(
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Also list the tables that VACUUM would skip, and why.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Count what each policy would delete now, and store the plans that need approval. Deletes nothing.

    `opsctl approve` allows a stored plan for one run. A login that may not
    store plans gets the same numbers and the GRANT that is missing. Exits with
    3 if a plan needs approval; with 1 if a policy is refused or cannot be planned.
    """
    with opened_policies(check=False) as (resolved, policies):
        plans = list(kinds.plan_all(policies, settings.environment(resolved)))
        stored = _store(resolved, policies, plans)
        paused = paused_lines(resolved, policies.databases)
    paragraphs = (
        tables.plan_remarks(plans, verbose=verbose),
        without_policies(policies),
        stored.next_steps(),
        paused,
    )
    lines = [line for paragraph in paragraphs for line in _spaced(paragraph)]
    content = {"policies": plans, "paused": paused, "pending": stored.pending, "approved": stored.approved}
    answer(content, tables.plan_table(plans), *lines, as_json=as_json)
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
    allowed = {plan.policy for plan in stored.approved}
    if any(isinstance(plan, Plan) and plan.stopped_by_guard and plan.policy not in allowed for plan in plans):
        raise typer.Exit(NEEDS_APPROVAL)


def _spaced(paragraph: Iterable[str]) -> list[str]:
    lines = list(paragraph)
    return ["", *lines] if lines else []


@dataclass(frozen=True, slots=True)
class _Stored:
    """The stored plans of all databases; `unstored`: why plans of a database could not be stored."""

    pending: tuple[StoredPlan, ...] = ()
    approved: tuple[StoredPlan, ...] = ()
    unstored: tuple[str, ...] = ()

    def next_steps(self) -> Iterator[str]:
        """What to do about the plans, ready to paste."""
        for plan in self.approved:
            run = opsctl("run", policies=[plan.policy])
            yield f"{plan.policy} is approved for one run. To run it now: {run}"
        for plan in approvals.to_approve(self.pending):
            following = [other.policy for other in self.pending if other.follows == plan.id]
            also = f", and {', '.join(following)} with it" if following else ""
            yield f"To allow {plan.policy} once{also}: opsctl approve {plan.id}"
        yield from self.unstored


def _store(resolved: settings.Settings, policies: Policies, plans: Sequence[Plan | Unplanned]) -> _Stored:
    """Stores what needs approval. A login that may only read, and a standby, plan without storing."""
    stored = _Stored()
    stopped = {
        plan.policy
        for plan in plans
        if isinstance(plan, Plan) and plan.stopped_by_guard and not plan.refusals
    }
    concerned = [
        database
        for database in policies.databases
        if stopped.intersection(policy.name for policy in database.policies)
    ]
    away: list[str] = []
    for database, connection in connections(resolved, concerned, "opsctl plan", away, refuse_unready):
        names = ", ".join(policy.name for policy in database.policies if policy.name in stopped)
        try:
            with explained(connection):
                made = pending_plans.store(connection, database.policies, plans)
        except MissingRightError as error:
            reason = f"{names}: the plan was not stored, so it has no id to approve: {error}"
            stored = replace(stored, unstored=(*stored.unstored, reason))
            continue
        stored = replace(
            stored,
            pending=(*stored.pending, *made.pending),
            approved=(*stored.approved, *made.approved),
        )
    unstored = (f"Plans were not stored, so they have no id to approve: {problem}" for problem in away)
    return replace(stored, unstored=(*stored.unstored, *unstored))

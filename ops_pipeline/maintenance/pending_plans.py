"""Stores plans that need approval, so that a person can approve them before a run."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ops_pipeline.maintenance.guard import approvals, guard
from ops_pipeline.maintenance.guard.approvals import StoredPlan
from ops_pipeline.maintenance.kinds import kind_of
from ops_pipeline.maintenance.plan import DeletePlan, Plan, Unplanned
from ops_pipeline.policies.model import DeletingPolicy, Policy
from ops_pipeline.postgres.connection import Connection


@dataclass(frozen=True, slots=True)
class PendingPlans:
    """Of the policies that the guard would stop: the plans that wait for approval, and those that a person
    has approved for the next run."""

    pending: Sequence[StoredPlan] = ()
    approved: Sequence[StoredPlan] = ()


def store(
    connection: Connection, policies: Sequence[Policy], plans: Iterable[Plan | Unplanned]
) -> PendingPlans:
    """Stores those of the plans, made just now of the policies of one database, that need approval.

    Orphans that a pending plan makes are approved together with it. A plan that is pending already and is the
    same keeps its id. Raises psycopg.Error where the login may not store plans; then none is stored.
    """
    by_name = {policy.name: policy for policy in policies}
    heads: dict[str, StoredPlan] = {}
    pending: list[StoredPlan] = []
    approved: list[StoredPlan] = []
    with connection.transaction():
        earlier = {plan.policy: plan for plan in approvals.pending(connection)}
        for plan in plans:
            policy = by_name.get(plan.policy)
            if not isinstance(plan, DeletePlan) or not isinstance(policy, DeletingPolicy):
                continue
            if not plan.stopped_by_guard or plan.refusals:
                continue
            allowed = approvals.approved_plan(connection, policy.name)
            if allowed is not None and allowed.definition == guard.definition(policy):
                approved.append(allowed)
                continue
            before = kind_of(policy).after(policy, [by_name[name] for name in heads])
            followed = {heads[other.name].id for other in before}
            # Rows that two plans make orphans are approved by themselves: neither stands for the other.
            follows = next(iter(followed)) if len(followed) == 1 else None
            stored = _stored(connection, policy, plan, follows, earlier.get(policy.name))
            heads[policy.name] = next((head for head in heads.values() if head.id == follows), stored)
            pending.append(stored)
    return PendingPlans(pending, approved)


def _stored(
    connection: Connection,
    policy: DeletingPolicy,
    plan: DeletePlan,
    follows: str | None,
    earlier: StoredPlan | None,
) -> StoredPlan:
    if earlier is not None and guard.is_same(policy, plan, follows, earlier):
        return earlier
    return guard.store(connection, policy, plan, now=datetime.now(UTC), follows=follows)

"""Stored plans that need approval, and their approval, which is good for one run."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

import sql
from ops_pipeline.audit import trail
from ops_pipeline.nearest import nearest
from ops_pipeline.opsctl import opsctl
from ops_pipeline.postgres.connection import Connection, row

PLAN_AGAIN = f"To see what would be deleted now, run `{opsctl('plan')}`"


class ApprovalRefusedError(Exception):
    """The plan cannot be approved or used; the message says why and what would be right."""


class NoSuchPlanError(ApprovalRefusedError):
    """No plan with that id exists in this database."""


@dataclass(frozen=True, slots=True)
class StoredPlan:
    """What a run would have removed without the guard: `eligible` of `total` rows older than `cutoff`.

    `cascaded`: rows of other tables that foreign keys would also have deleted. `definition`: the policy it
    was made from. `worker_clock`: the worker's time when it was made. `used_by_run`, `used_at`: the run that
    used the approval, and when. `follows`: the plan whose approval includes this one, because it makes these
    rows orphans.
    """

    id: str
    policy: str
    definition: Mapping[str, Any]
    cutoff: datetime | None
    worker_clock: datetime
    eligible: int
    total: int
    fraction: float
    exact: bool
    reasons: tuple[str, ...]
    created_at: datetime
    approved_at: datetime | None = None
    approved_by: str | None = None
    used_at: datetime | None = None
    used_by_run: int | None = None
    cascaded: int = 0
    follows: str | None = None


def pending(connection: Connection) -> list[StoredPlan]:
    """The plans that are pending approval, the newest of each policy."""
    return [_plan(row) for row in connection.execute(sql.get("maintenance/guard/pending"))]


def to_approve(pending: Sequence[StoredPlan]) -> list[StoredPlan]:
    """Those of the pending plans that are not approved together with another one of them."""
    ids = {plan.id for plan in pending}
    return [plan for plan in pending if plan.follows not in ids]


def new_id() -> str:
    """Eight characters for a plan, the first a letter: YAML does not read them as a number."""
    return secrets.choice("abcdef") + secrets.token_hex(4)[1:]


def approve(connection: Connection, plan_id: str, by: str) -> StoredPlan:
    """Approves that plan for the next run of its policy, and the plans that delete the orphans it makes. The
    audit log records who approved it.

    Approving it again before it is used changes nothing. Raises ApprovalRefusedError when the plan does not
    exist (NoSuchPlanError), was used, or is no longer pending.
    """
    with connection.transaction():
        plan = find(connection, plan_id)
        if plan is None:
            ids = [plan.id for plan in pending(connection)]
            there_is = nearest(plan_id, ids) if ids else "no plan is pending approval"
            raise NoSuchPlanError(f'Plan "{plan_id}" does not exist; {there_is}')
        if plan.used_at is not None:
            raise ApprovalRefusedError(used(plan))
        refuse_outdated(plan, pending(connection))
        values = {"id": plan_id, "by": by}
        approved = [_plan(row) for row in connection.execute(sql.get("maintenance/guard/approve"), values)]
        for each in approved:
            trail.record(connection, "plan.approved", _described(each), by=by)
    return next((each for each in approved if each.id == plan_id), plan)


def find(connection: Connection, plan_id: str) -> StoredPlan | None:
    """The plan with that id, whatever its state."""
    stored = connection.execute(sql.get("maintenance/guard/one"), {"id": plan_id}).fetchone()
    return None if stored is None else _plan(stored)


def used(plan: StoredPlan) -> str:
    """The sentence that an approval which a run has used cannot be used again."""
    return (
        f"Plan {plan.id} was approved by {plan.approved_by} and used by run {plan.used_by_run} on "
        f"{plan.used_at:%Y-%m-%d %H:%M} UTC; an approval is good for one run. {PLAN_AGAIN}"
    )


def refuse_outdated(plan: StoredPlan, pending: Sequence[StoredPlan]) -> None:
    """Raises ApprovalRefusedError when the plan is neither approved nor among the `pending` plans."""
    if plan.approved_at is not None or plan.id in {each.id for each in pending}:
        return
    newer = next((each.id for each in pending if each.policy == plan.policy), None)
    instead = (
        f'plan "{newer}" has replaced it. To approve that one, run `{opsctl("approve", newer)}`'
        if newer
        else f"a newer plan was approved, or a complete run came after it. {PLAN_AGAIN}"
    )
    raise ApprovalRefusedError(f'Plan "{plan.id}" is no longer pending: {instead}')


def following(connection: Connection, plan_id: str) -> list[StoredPlan]:
    """The plans that are approved together with that one: they delete the orphans that it makes."""
    return [_plan(row) for row in connection.execute(sql.get("maintenance/guard/following"), {"id": plan_id})]


def use_up(connection: Connection, plan_id: str, run_id: int) -> None:
    """Records that a complete run has used the approval, in that run's last transaction.

    Raises ApprovalRefusedError when the plan is not approved or was used before.
    """
    values = {"id": plan_id, "run_id": run_id}
    if connection.execute(sql.get("maintenance/guard/use_up"), values).fetchone() is None:
        raise ApprovalRefusedError(
            f"Plan {plan_id} is not approved, or was used by another run. {PLAN_AGAIN}"
        )


def approved_plan(connection: Connection, policy: str) -> StoredPlan | None:
    """The plan of that policy that is approved and that no run has used."""
    stored = connection.execute(sql.get("maintenance/guard/approved"), {"policy": policy}).fetchone()
    return None if stored is None else _plan(stored)


def store(connection: Connection, values: Mapping[str, Any]) -> StoredPlan:
    """Stores a plan that needs approval, with a random id of eight hexadecimal digits."""
    values = {**values, "id": new_id(), "definition": Jsonb(values["definition"])}
    return _plan(row(connection, sql.get("maintenance/guard/store"), values))


def _plan(values: tuple[Any, ...]) -> StoredPlan:
    plan = StoredPlan(*values)
    return replace(plan, reasons=tuple(plan.reasons))


def _described(plan: StoredPlan) -> dict[str, Any]:
    return {
        "plan": plan.id,
        "policy": plan.policy,
        "cutoff": plan.cutoff.isoformat() if plan.cutoff else None,
        "rows_eligible": plan.eligible,
        "rows_total": plan.total,
        "reasons": list(plan.reasons),
    }

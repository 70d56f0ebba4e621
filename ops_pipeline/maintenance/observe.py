"""The run of a policy that is observed only: it is planned and recorded, and nothing is changed."""

from collections.abc import Sequence
from typing import Any

import msgspec

from ops_pipeline.maintenance.batches.batch import PolicyRun
from ops_pipeline.maintenance.kind import AnyPolicy, Kind
from ops_pipeline.maintenance.plan import RUN_LIMIT_SECONDS, DeletePlan, Plan, PlannedDeletion, Planning
from ops_pipeline.maintenance.result import Work, refuse
from ops_pipeline.settings import Settings


def observe(
    run: PolicyRun,
    kind: Kind[AnyPolicy],
    policy: AnyPolicy,
    settings: Settings,
    before: Sequence[PlannedDeletion],
) -> Work:
    """Plans the policy and records the plan; `remaining` is what it would delete, where that was counted.

    `before`: what the observed policies before it would have deleted. Raises RefusedError, as the run of a
    policy that is enforced.
    """
    planning = Planning(run.connection, RUN_LIMIT_SECONDS, settings.archive_url, before=list(before))
    plan = kind.plan(planning, policy)
    refuse(plan.refusals)
    rows = plan.rows
    run.record.save_plan(
        run.connection,
        cutoff=plan.cutoff if isinstance(plan, DeletePlan) else None,
        planned=rows.eligible if rows else 0,
        method=": ".join(filter(None, (plan.method.name, plan.method.why))),
        details={},
    )
    return Work(
        _in_words(plan),
        rows.eligible if rows and rows.exact else None,
        oldest=rows.oldest_row if rows else None,
        dead_tuples_before=plan.dead_tuples,
        dead_tuples_after=plan.dead_tuples,
        observed=True,
        details={"observed": _as_json(plan)},
    )


def _in_words(plan: Plan) -> str:
    oldest = f", the oldest of {plan.rows.oldest:%Y-%m-%d}" if plan.rows and plan.rows.oldest else ""
    approval = f". It would need approval: {'; '.join(plan.needs_approval)}" if plan.needs_approval else ""
    return f"observed only: this run {plan.would()}{oldest}. Nothing was changed{approval}"


def _as_json(plan: Plan) -> Any:
    return msgspec.json.decode(msgspec.json.encode(plan))

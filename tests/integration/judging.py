"""The guard's verdict on a policy, and runs recorded as it allowed them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

from psycopg.types.json import Jsonb

from ops_pipeline.maintenance.guard import approvals, guard
from ops_pipeline.maintenance.orphans.plan import OrphansPlan, plan_orphans
from ops_pipeline.maintenance.orphans.policy import Orphans
from ops_pipeline.maintenance.plan import Planning
from ops_pipeline.maintenance.retention.plan import RetentionPlan, plan_retention
from ops_pipeline.maintenance.retention.policy import Retention
from ops_pipeline.policies.model import DeletingPolicy, GuardLimits
from ops_pipeline.postgres.connection import Connection, scalar

DAY = timedelta(days=1)
MORE = "INSERT INTO sessions (created_at) SELECT now() - interval '40 days' FROM generate_series(1, %s)"


Judged = guard.GuardResult[RetentionPlan] | guard.GuardResult[OrphansPlan]


def judged(connection: Connection, policy: Retention | Orphans, now: datetime | None = None) -> Judged:
    """The guard's verdict on a run of the policy now."""
    now = now or datetime.now(UTC)
    planning = Planning(connection, 10, clock=lambda: now)
    if isinstance(policy, Orphans):
        orphaned = plan_orphans(planning, policy)
        return guard.judge(connection, policy, orphaned, now=now)
    expired = plan_retention(planning, policy)
    return guard.judge(
        connection, policy, expired, now=now, at_cutoff=partial(plan_retention, planning, policy)
    )


def ran(connection: Connection, policy: DeletingPolicy, guarded: Judged, outcome: str = "done") -> int:
    """Records an allowed run that has ended and removed no row."""
    assert guarded.allowed
    run_id: int = scalar(
        connection,
        "INSERT INTO ops.maintenance_runs (policy, cutoff, outcome, finished_at, details)"
        " VALUES (%s, %s, %s, now(), %s) RETURNING id",
        [policy.name, guarded.planned.cutoff, outcome, Jsonb(guarded.details)],
    )
    if guarded.approval is not None and outcome == "done":
        approvals.use_up(connection, guarded.approval, run_id)
    return run_id


def limited(policy: Retention, **limits: float | int | None) -> Retention:
    return replace(policy, guard=GuardLimits(**limits))  # type: ignore[arg-type]  # of several types

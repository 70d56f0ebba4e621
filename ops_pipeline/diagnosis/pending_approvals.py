"""Plans that wait for a person to approve them."""

from collections.abc import Iterator

from ops_pipeline.diagnosis.diagnosis import Diagnosis, Examination
from ops_pipeline.finding import Finding
from ops_pipeline.maintenance.guard import approvals
from ops_pipeline.maintenance.guard.approvals import StoredPlan


def _find(examined: Examination) -> Iterator[Finding]:
    for plan in approvals.pending(examined.migrated_connection()):
        if plan.follows is None:  # approved with the plan that it follows
            yield Finding(
                plan.policy,
                f"since {plan.created_at:%Y-%m-%d %H:%M} UTC plan {plan.id} needs approval: "
                f"{'; '.join([*_rows(plan), *plan.reasons])}. "
                "To allow it once, for the next run",
                (f"opsctl approve {plan.id}",),
            )


def _rows(plan: StoredPlan) -> list[str]:
    """What it would delete, unless the reasons say so."""
    if any(f"{plan.eligible:,}" in reason for reason in plan.reasons):
        return []
    about = "" if plan.exact else "about "
    return [f"it would delete {about}{plan.eligible:,} of {about}{plan.total:,} rows"]


PENDING_APPROVALS = Diagnosis(
    id="pending_approvals",
    severity="warning",
    question="Have all plans that need approval been approved?",
    remedy="Review the plan (`opsctl plan`), then run `opsctl approve ID`, or correct the policy "
    "([guard](policies.md#guard)).",
    find=_find,
)

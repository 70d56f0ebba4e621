"""An approval covers exactly one plan, for one run."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from ops_pipeline.maintenance import history
from ops_pipeline.maintenance.guard import approvals, guard
from ops_pipeline.maintenance.orphans.policy import Orphans
from ops_pipeline.maintenance.plan import Planning
from ops_pipeline.maintenance.retention.plan import plan_retention
from ops_pipeline.maintenance.retention.policy import Retention
from ops_pipeline.postgres.connection import Connection
from tests.integration.judging import DAY, MORE, judged, limited, ran


def test_an_approved_plan_runs_once(application: Connection, retention: Retention) -> None:
    policy = limited(retention, max_rows=100)
    stopped = judged(application, policy)
    assert stopped.plan is not None
    approvals.approve(application, stopped.plan, "ann")
    application.execute("INSERT INTO sessions (created_at) SELECT now() - interval '30 days'")

    through = judged(application, policy)

    assert through.allowed
    assert (through.approval, through.planned.rows.eligible) == (stopped.plan, 3000)
    assert through.planned.cutoff == stopped.planned.cutoff, "what has expired since stays for the next run"
    run_id = ran(application, policy, through)
    with pytest.raises(approvals.ApprovalRefusedError, match=f"approved by ann and used by run {run_id} on"):
        approvals.approve(application, stopped.plan, "ann")
    with pytest.raises(approvals.ApprovalRefusedError, match=r"good for one run\. .* run `opsctl plan`"):
        approvals.approve(application, stopped.plan, "ann")
    with pytest.raises(approvals.ApprovalRefusedError, match="used by another run"):
        approvals.use_up(application, stopped.plan, run_id + 1)
    again = judged(application, policy)
    assert not again.allowed
    assert again.plan != stopped.plan


def test_no_approval_moves_the_cutoff_past_what_the_policy_keeps(
    application: Connection, retention: Retention
) -> None:
    policy = limited(retention, max_rows=100)
    stopped = judged(application, policy)
    approvals.approve(application, str(stopped.plan), "ann")
    application.execute("UPDATE ops.plans SET cutoff = now() + interval '1 year', eligible = 1000000")

    through = judged(application, policy)

    assert through.allowed
    assert through.planned.cutoff is not None
    assert through.planned.cutoff < datetime.now(UTC) - retention.keep + timedelta(minutes=1)
    assert through.planned.rows.eligible == 3000


def test_an_interrupted_run_continues_with_its_approval(
    application: Connection, retention: Retention
) -> None:
    policy = limited(retention, max_rows=100)
    plan_id = judged(application, policy).plan
    assert plan_id is not None
    approvals.approve(application, plan_id, "ann")
    for outcome in ("interrupted", "stopped", "failed"):
        ran(application, policy, judged(application, policy), outcome)
        application.execute("DELETE FROM sessions WHERE id IN (SELECT id FROM sessions ORDER BY 1 LIMIT 500)")

    assert judged(application, policy).approval == plan_id


def test_more_rows_than_were_approved_need_another_approval(
    application: Connection, retention: Retention
) -> None:
    policy = limited(retention, max_rows=100)
    first = judged(application, policy).plan
    assert first is not None
    approvals.approve(application, first, "ann")
    application.execute(MORE, [1])

    second = judged(application, policy)

    assert second.plan not in (None, first)
    assert f"plan {first} was approved for 3,000 rows, but would now delete 3,001" in second.message
    approvals.approve(application, str(second.plan), "ann")
    assert judged(application, policy).approval == second.plan


@pytest.mark.parametrize(
    "change", [{"keep": timedelta(days=29)}, {"column": "updated_at"}, {"archive": True}]
)
def test_an_approval_does_not_cover_a_changed_policy(
    application: Connection, retention: Retention, change: dict[str, object]
) -> None:
    application.execute(
        "ALTER TABLE sessions ADD updated_at timestamptz; UPDATE sessions SET updated_at = created_at"
    )
    policy = limited(retention, max_rows=100)
    first = judged(application, policy).plan
    assert first is not None
    approvals.approve(application, first, "ann")

    second = judged(application, replace(policy, **change))  # type: ignore[arg-type]  # of several types

    assert not second.allowed
    assert f"plan {first} was approved before the policy was changed" in second.message


@pytest.mark.parametrize("change", [{"premake": 21 * DAY}, {"partition": "day"}])
def test_an_approval_outlives_a_change_that_selects_no_other_rows(
    application: Connection, retention: Retention, change: dict[str, object]
) -> None:
    policy = limited(retention, max_rows=100)
    approved = judged(application, policy).plan
    assert approved is not None
    approvals.approve(application, approved, "ann")

    through = judged(application, replace(policy, **change))  # type: ignore[arg-type]

    assert (through.allowed, through.approval) == (True, approved)


@pytest.mark.parametrize(
    "change",
    [{"null_is_orphan": True}, {"grace_period": DAY}, {"parent_columns": ("other",)}, {"archive": True}],
)
def test_each_field_that_selects_orphans_is_part_of_what_is_approved(
    orphans: Orphans, change: dict[str, object]
) -> None:
    changed = replace(orphans, **change)  # type: ignore[arg-type]

    assert guard.definition(changed) != guard.definition(orphans)
    assert guard.definition(replace(orphans, track=True)) == guard.definition(orphans)


def test_the_run_after_an_approved_one_needs_no_approval(
    application: Connection, retention: Retention
) -> None:
    """The approved cutoff is days old when the run starts; the next run must not see a clock jump."""
    policy = limited(retention, max_rows=100)
    then = datetime.now(UTC) - 5 * DAY
    plan_at = partial(plan_retention, Planning(application, 10, clock=lambda: then), policy)
    stopped = guard.judge(application, policy, plan_at(then - policy.keep), now=then, at_cutoff=plan_at)
    approvals.approve(application, str(stopped.plan), "ann")
    ran(application, policy, judged(application, policy))
    application.execute("DELETE FROM sessions WHERE created_at < now() - interval '30 days'")

    assert judged(application, policy).reasons == ()


def test_approving_is_audited_and_only_once(application: Connection, retention: Retention) -> None:
    stopped = judged(application, limited(retention, max_rows=100))
    plan_id = str(stopped.plan)

    first = approvals.approve(application, plan_id, "ann")
    second = approvals.approve(application, plan_id, "bob")

    assert first == second
    assert first.approved_by == "ann"
    assert approvals.pending(application) == []
    (event,) = application.execute(
        "SELECT action, created_by, details ->> 'plan', details ->> 'policy',"
        " (details -> 'rows_eligible')::int FROM audit_logs WHERE event_type = 'maintenance'"
    ).fetchall()
    assert event == ("plan.approved", "ann", plan_id, retention.name, 3000)


def test_an_unknown_plan_is_refused_with_the_pending_ones(
    application: Connection, retention: Retention
) -> None:
    with pytest.raises(approvals.ApprovalRefusedError, match='Plan "00000000" does not exist; no plan'):
        approvals.approve(application, "00000000", "ann")
    plan_id = str(judged(application, limited(retention, max_rows=100)).plan)
    with pytest.raises(approvals.ApprovalRefusedError, match=f"available: {plan_id}"):
        approvals.approve(application, "00000000", "ann")


@pytest.mark.parametrize("check_failed", [False, True])
def test_a_complete_run_closes_earlier_plans(
    application: Connection, retention: Retention, check_failed: bool
) -> None:
    policy = limited(retention, max_rows=100)
    first, second = judged(application, policy), judged(application, policy)
    assert [each.id for each in approvals.pending(application)] == [second.plan], "the newest of each policy"
    with pytest.raises(approvals.ApprovalRefusedError, match=f"run `opsctl approve {second.plan}`"):
        approvals.approve(application, str(first.plan), "ann")
    approvals.approve(application, str(second.plan), "ann")
    run_id = ran(application, policy, judged(application, retention))
    if check_failed:
        application.execute("UPDATE ops.maintenance_runs SET dagster_run_id = 'r' WHERE id = %s", [run_id])
        history.fail(application, policy.name, "archive_verified: a file is damaged", "r")
        assert history.results(application, run_id=run_id)[0].outcome == "failed"

    assert approvals.pending(application) == []
    assert approvals.approved_plan(application, policy.name) is None


def test_an_estimate_that_was_approved_may_be_off_by_a_tenth(
    application: Connection, retention: Retention
) -> None:
    application.execute("ANALYZE sessions")
    policy = limited(retention, max_rows=100)
    plan_at = partial(plan_retention, Planning(application, 10), policy)
    counted = plan_at()
    rows = replace(counted.rows, exact=False)
    against = guard.reasons(application, policy, rows, counted.cutoff, cascaded=(), now=datetime.now(UTC))
    estimated = replace(counted, rows=rows, needs_approval=against)
    stopped = guard.judge(application, policy, estimated, now=datetime.now(UTC), at_cutoff=plan_at)
    assert "would delete about 3,000 rows of sessions" in stopped.message
    approvals.approve(application, str(stopped.plan), "ann")

    application.execute(MORE, [300])
    assert judged(application, policy).approval == stopped.plan
    application.execute(MORE, [1])
    assert not judged(application, policy).allowed

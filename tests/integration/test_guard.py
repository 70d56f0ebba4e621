"""A run that would delete more than its limit needs approval, which covers exactly that plan."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from ops_pipeline.maintenance.guard import approvals, guard
from ops_pipeline.maintenance.orphans.plan import OrphansPlan, plan_orphans
from ops_pipeline.maintenance.orphans.policy import Orphans
from ops_pipeline.maintenance.plan import Planning, RowCount
from ops_pipeline.maintenance.retention.plan import RetentionPlan, plan_retention
from ops_pipeline.maintenance.retention.policy import Retention
from ops_pipeline.policies.model import Database, DeletingPolicy, GuardLimits
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.postgres.relation import TableName

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


def test_half_of_a_table_may_be_deleted_and_one_row_more_needs_approval(
    application: Connection, retention: Retention
) -> None:
    assert judged(application, retention).allowed, "3,000 of 6,000 are half"
    application.execute(MORE, [1])

    guarded = judged(application, retention)

    assert not guarded.allowed
    assert guarded.message == (
        "Needs approval: this run would delete 3,001 of 6,001 rows of sessions (50.01%, guard.max_fraction "
        f"is 50%). Nothing was deleted. To allow it once: opsctl approve {guarded.plan}"
    )
    assert scalar(application, "SELECT count(*) FROM sessions") == 6001
    (plan,) = approvals.pending(application)
    assert (plan.id, plan.policy, plan.eligible, plan.total) == (guarded.plan, retention.name, 3001, 6001)
    assert plan.cutoff == guarded.planned.cutoff
    assert plan.definition == guard.definition(retention)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    total=st.integers(0, 1000),
    share=st.floats(0, 1),
    max_fraction=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    max_rows=st.one_of(st.none(), st.integers(0, 1000)),
)
def test_the_limits_are_those_of_the_policy(
    connection: Connection,
    retention: Retention,
    total: int,
    share: float,
    max_fraction: float,
    max_rows: int | None,
) -> None:
    policy = limited(retention, max_fraction=max_fraction, max_rows=max_rows)
    eligible = round(total * share)

    against = guard.reasons(
        connection, policy, RowCount(eligible, total), None, cascaded=(), now=datetime.now(UTC)
    )

    too_many = max_rows is not None and eligible > max_rows
    assert len(against) == (eligible > max_fraction * total) + too_many


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


def test_a_server_clock_that_jumped_needs_approval(application: Connection, retention: Retention) -> None:
    now = datetime.now(UTC)
    ran(application, retention, judged(application, retention, now))

    def next_run_after(server: timedelta, worker: timedelta) -> tuple[str, ...]:
        cutoff = now - retention.keep + server
        return guard.reasons(
            application, retention, RowCount(600, 6000), cutoff, cascaded=(), now=now + worker
        )

    assert next_run_after(DAY, DAY) == ()
    assert next_run_after(1.9 * DAY, DAY) == ()
    assert next_run_after(90 * DAY, 90 * DAY) == (), "no run for three months"
    assert next_run_after(DAY, 20 * DAY) == (), "the worker's own clock removes nothing"
    (reason,) = next_run_after(31 * DAY, DAY)
    assert "the cutoff has moved 30 days further than the clock explains" in reason
    assert "the database's clock advanced by 31 days and this machine's by 1 day" in reason


def test_a_first_run_needs_approval_when_the_server_clock_is_ahead(
    application: Connection, retention: Retention
) -> None:
    (reason,) = judged(application, retention, datetime.now(UTC) - 3 * DAY).reasons

    assert "the database's clock" in reason
    assert "is 3 days ahead of this machine's" in reason
    assert judged(application, retention, datetime.now(UTC) - DAY / 2).allowed
    assert judged(application, retention, datetime.now(UTC) + 9 * DAY).allowed


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


def test_a_shortened_keep_needs_approval_and_a_lengthened_one_does_not(
    application: Connection, retention: Retention
) -> None:
    ran(application, retention, judged(application, retention))
    shorter, longer = replace(retention, keep=timedelta(days=29)), replace(retention, keep=timedelta(days=40))

    assert judged(application, longer).allowed
    stopped = judged(application, limited(shorter, max_fraction=1.0))
    assert "keep was shortened from 30 days to 29 days since the run of" in stopped.message
    approvals.approve(application, str(stopped.plan), "ann")
    through = judged(application, limited(shorter, max_fraction=1.0))
    ran(application, shorter, through)
    assert judged(application, limited(shorter, max_fraction=1.0)).reasons == ()


def test_orphans_need_approval_by_share_and_by_a_changed_reference(
    application: Connection, orphans: Orphans
) -> None:
    application.execute("INSERT INTO memories (session_id) SELECT id FROM sessions LIMIT 10")
    application.execute(
        "INSERT INTO memories (session_id) SELECT gen_random_uuid() FROM generate_series(1, 10)"
    )
    allowed = judged(application, orphans)
    assert (allowed.allowed, allowed.planned.rows.eligible) == (True, 10)
    ran(application, orphans, allowed)
    application.execute("CREATE TABLE others (id uuid PRIMARY KEY)")

    elsewhere = replace(orphans, parent=TableName.parse("others"), guard=GuardLimits(max_fraction=1.0))
    (reason,) = judged(application, elsewhere).reasons
    assert reason.startswith("parent was changed from sessions to others since the run of")
    application.execute("INSERT INTO memories (session_id) VALUES (gen_random_uuid())")
    stopped = judged(application, orphans)
    assert not stopped.allowed
    approvals.approve(application, str(stopped.plan), "ann")
    assert judged(application, orphans).approval == stopped.plan


def test_approving_is_audited_and_only_once(application: Connection, retention: Retention) -> None:
    stopped = judged(application, limited(retention, max_rows=100))
    plan_id = str(stopped.plan)

    first = approvals.approve(application, plan_id, "ann")
    second = approvals.approve(application, plan_id, "bob")

    assert first == second
    assert first.approved_by == "ann"
    assert approvals.pending(application) == []
    (event,) = application.execute(
        "SELECT action, created_by, details ->> 'plan', details ->> 'policy', (details -> 'rows')::int"
        " FROM audit_logs WHERE event_type = 'maintenance'"
    ).fetchall()
    assert event == ("plan.approved", "ann", plan_id, retention.name, 3000)


def test_an_unknown_plan_is_refused_with_the_pending_ones(
    application: Connection, retention: Retention
) -> None:
    with pytest.raises(approvals.ApprovalRefusedError, match='Plan "00000000" does not exist; no plan'):
        approvals.approve(application, "00000000", "ann")
    plan_id = str(judged(application, limited(retention, max_rows=100)).plan)
    with pytest.raises(approvals.ApprovalRefusedError, match=f"Available: {plan_id}"):
        approvals.approve(application, "00000000", "ann")


def test_a_complete_run_closes_earlier_plans(application: Connection, retention: Retention) -> None:
    policy = limited(retention, max_rows=100)
    first, second = judged(application, policy), judged(application, policy)
    assert [each.id for each in approvals.pending(application)] == [second.plan], "the newest of each policy"
    approvals.approve(application, str(first.plan), "ann")
    ran(application, policy, judged(application, retention))

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


@pytest.fixture
def guards(read: Callable[..., Database]) -> Callable[[str, str], GuardLimits]:
    def make(of_database: str, of_rule: str) -> GuardLimits:
        policy = read(
            f"version: 1\ndatabases: {{app: {{url: x, guard: {of_database}, retention:"
            f" [{{table: a, column: b, keep: 1 day, guard: {of_rule}}}]}}}}"
        ).policies[0]
        assert isinstance(policy, Retention)
        return policy.guard

    return make


def test_a_policys_guard_overrides_that_of_its_database_key_by_key(
    guards: Callable[[str, str], GuardLimits],
) -> None:
    assert guards("{}", "{}") == GuardLimits(0.5, None)
    assert guards("{max_fraction: 0.2, max_rows: 9}", "{}") == GuardLimits(0.2, 9)
    assert guards("{max_fraction: 0.2, max_rows: 9}", "{max_fraction: 1}") == GuardLimits(1.0, 9)
    assert guards("{max_rows: 9}", "{max_rows: null}") == GuardLimits(0.5, None)

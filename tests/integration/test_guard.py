"""A run that would delete more than its limits allow, or other than it did, needs approval."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ops_pipeline.maintenance.guard import approvals, guard
from ops_pipeline.maintenance.orphans.policy import Orphans
from ops_pipeline.maintenance.plan import RowCount
from ops_pipeline.maintenance.retention.policy import Retention
from ops_pipeline.policies.model import Database, GuardLimits
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.postgres.relation import TableName
from tests.integration.judging import DAY, MORE, judged, limited, ran


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
    assert "the database's clock advanced by 31 days and this machine's by 1 day; check both clocks" in reason


def test_a_first_run_needs_approval_when_the_server_clock_is_ahead(
    application: Connection, retention: Retention
) -> None:
    (reason,) = judged(application, retention, datetime.now(UTC) - 3 * DAY).reasons

    assert "the database's clock" in reason
    assert "is 3 days ahead of this machine's" in reason
    assert judged(application, retention, datetime.now(UTC) - DAY / 2).allowed
    assert judged(application, retention, datetime.now(UTC) + 9 * DAY).allowed


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
    assert reason.startswith("references was changed from sessions.id to others.id since the run of")
    application.execute("INSERT INTO memories (session_id) VALUES (gen_random_uuid())")
    stopped = judged(application, orphans)
    assert not stopped.allowed
    approvals.approve(application, str(stopped.plan), "ann")
    assert judged(application, orphans).approval == stopped.plan


@pytest.fixture
def guards(read: Callable[..., Database]) -> Callable[[str, str], GuardLimits]:
    def make(of_database: str, of_policy: str) -> GuardLimits:
        policy = read(
            f"version: 1\ndatabases: {{app: {{url: x, guard: {of_database}, retention:"
            f" [{{table: a, column: b, keep: 1 day, guard: {of_policy}}}]}}}}"
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

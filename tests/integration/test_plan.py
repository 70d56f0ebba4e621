"""A plan says what a run would delete, why, and how exact its numbers are; it changes nothing."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg import sql as compose

from ops_pipeline.holds import holds
from ops_pipeline.maintenance.kinds import carry_out, kind_of, plan, plan_all
from ops_pipeline.maintenance.orphans.policy import Orphans
from ops_pipeline.maintenance.plan import DeletePlan, Plan, Planning, Unplanned
from ops_pipeline.maintenance.retention.policy import Retention
from ops_pipeline.maintenance.row_counter import RowCounter
from ops_pipeline.policies.model import Database, GuardLimits, Policies, Policy
from ops_pipeline.postgres import catalog
from ops_pipeline.postgres.connection import Connection, connect, scalar
from ops_pipeline.postgres.relation import Relation, TableName
from tests.eventually import eventually
from tests.named import named

EVERYTHING = GuardLimits(max_fraction=1.0)


def planned(connection: Connection, policy: Policy) -> DeletePlan:
    made = kind_of(policy).plan(Planning(connection, 10), policy)
    assert isinstance(made, DeletePlan)
    return made


def test_it_counts_deleted_and_kept_rows(application: Connection, retention: Retention) -> None:
    application.execute("INSERT INTO sessions (created_at) VALUES (NULL), ('infinity'), ('-infinity')")
    application.execute("UPDATE sessions SET note = 'held' WHERE created_at < now() - interval '59 days'")
    holds.add(application, "sessions", "note = held", reason="x", owner="y", by="z")

    plan = planned(application, retention)

    assert (plan.rows.eligible, plan.rows.total, plan.rows.on_hold, plan.rows.null, plan.rows.exact) == (
        2900,
        6003,
        100,
        3,
        True,
    )
    assert plan.rows.fraction == 2900 / 6003
    now = datetime.now(UTC)
    assert plan.rows.oldest is not None
    assert plan.rows.newest is not None
    assert now - timedelta(days=59) < plan.rows.oldest < plan.rows.newest < now - timedelta(days=30)
    assert plan.rows.oldest_row is not None
    assert plan.rows.oldest_row < plan.rows.oldest, "the oldest is on hold"
    size = scalar(application, "SELECT pg_total_relation_size('sessions')")
    assert abs(plan.rows.bytes - size * plan.rows.fraction) < 1
    assert plan.method.name
    assert plan.method.why
    assert plan.seconds is None, "no run has been measured yet"


def test_it_estimates_the_duration_from_the_rate_of_the_last_run(
    application: Connection, retention: Retention
) -> None:
    policy = replace(retention, keep=timedelta(days=45))
    removed = carry_out(application, policy)
    rate = removed.removed / removed.working

    plan = planned(application, replace(policy, keep=timedelta(days=30)))

    assert plan.rows.eligible == 1500
    assert plan.seconds == pytest.approx(1500 / rate, rel=1e-6)


def test_counting_that_takes_too_long_becomes_an_estimate(
    application: Connection, retention: Retention, orphans: Orphans, monkeypatch: pytest.MonkeyPatch
) -> None:
    application.execute(
        "CREATE INDEX ON sessions (created_at); INSERT INTO sessions (created_at) VALUES (NULL)"
    )
    application.execute(
        "INSERT INTO memories (session_id) SELECT gen_random_uuid() FROM generate_series(1, 900)"
    )
    application.execute("INSERT INTO memories (session_id) SELECT id FROM sessions LIMIT 100")
    application.execute("UPDATE sessions SET note = 'held' WHERE get_byte(uuid_send(id), 0) < 64")
    application.execute("VACUUM ANALYZE sessions, memories")
    holds.add(application, "sessions", "note = held", reason="x", owner="y", by="z")
    exact = planned(application, retention)
    monkeypatch.setattr(RowCounter, "count", lambda *_: None)  # as when it takes longer than its limit
    hurried = planned(application, retention)

    assert (exact.rows.exact, hurried.rows.exact) == (True, False)
    assert hurried.rows.eligible == pytest.approx(exact.rows.eligible, rel=0.1)
    assert hurried.rows.total == pytest.approx(6001, rel=0.01)
    assert hurried.rows.on_hold == pytest.approx(exact.rows.on_hold, rel=0.3)
    assert hurried.rows.bytes == pytest.approx(exact.rows.bytes, rel=0.1)
    assert hurried.rows.oldest is not None
    assert planned(application, orphans).rows.eligible == pytest.approx(900, rel=0.1)


def test_a_statement_of_a_plan_that_takes_too_long_has_no_rows(connection: Connection) -> None:
    connection.execute("CREATE TABLE t (id int)")
    counter = RowCounter(
        connection, named(connection, "t"), {}, condition=compose.SQL("true"), null=compose.SQL("false")
    )

    with connection.transaction():
        assert counter.within(0.01, compose.SQL("SELECT pg_sleep(1)").format()) is None
        assert counter.within(1, compose.SQL("SELECT pg_sleep(0.01)").format()) is not None
        connection.execute("SELECT pg_sleep(1.1)")


def test_when_counting_and_sampling_time_out_the_guard_assumes_every_row(
    application: Connection, retention: Retention, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A fast server samples a small table within the shortest timeout, a millisecond.
    monkeypatch.setattr(RowCounter, "within", lambda *_: None)
    application.execute("ANALYZE sessions")

    plan = planned(application, retention)

    assert (plan.rows.eligible, plan.rows.fraction, plan.rows.exact) == (plan.rows.total, 1.0, False)


def test_a_plan_that_deletes_nothing_has_no_oldest_expired_row(
    application: Connection, retention: Retention
) -> None:
    application.execute("DELETE FROM sessions WHERE created_at < now() - interval '20 days'")
    plan = planned(application, retention)
    assert (plan.rows.eligible, plan.rows.oldest, plan.rows.newest) == (0, None, None)
    assert plan.rows.oldest_row is not None

    application.execute("DELETE FROM sessions; INSERT INTO sessions (created_at) VALUES (NULL), ('infinity')")
    plan = planned(application, retention)
    assert (plan.rows.total, plan.rows.null, plan.rows.oldest_row) == (2, 2, None)


def test_a_canceled_count_is_not_replaced_by_an_estimate(
    application: Connection, retention: Retention, url: str
) -> None:
    application.execute("SET lock_timeout = '10s'")
    counting = (
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ 'What happens to'"
    )
    pid = application.info.backend_pid

    def cancel() -> None:
        with connect(url, "operator") as operator:
            eventually(lambda: scalar(operator, counting))
            operator.execute("SELECT pg_cancel_backend(%s)", [pid])

    with psycopg.connect(url) as other:
        other.execute("LOCK TABLE sessions")
        canceling = threading.Thread(target=cancel)
        canceling.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            planned(application, retention)
        canceling.join()


def test_each_partition_is_listed(connection: Connection, read: Callable[..., Database]) -> None:
    connection.execute(
        "CREATE TABLE sessions (created_at timestamptz NOT NULL) PARTITION BY RANGE (created_at);"
        "CREATE TABLE old PARTITION OF sessions FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');"
        "CREATE TABLE rest PARTITION OF sessions DEFAULT;"
        "INSERT INTO sessions SELECT '2020-06-01' FROM generate_series(1, 7);"
        "INSERT INTO sessions VALUES ('2021-01-01'), (now())"
    )

    plan = planned(connection, read().policies[0])

    assert [(str(each.partition), each.eligible, each.total) for each in plan.rows.partitions] == [
        ("public.old", 7, 7),
        ("public.rest", 1, 2),
    ]
    assert plan.rows.eligible == 8


def test_it_reads_only(
    application: Connection, read: Callable[..., Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No transaction id is assigned, and the server refuses any write."""
    before = scalar(application, "SELECT pg_snapshot_xmax(pg_current_snapshot())::text")
    assert all(isinstance(each, Plan) for each in plan(application, read().policies))
    assert scalar(application, "SELECT pg_snapshot_xmax(pg_current_snapshot())::text") == before

    def writes(connection: Connection, _: Relation) -> int:
        return connection.execute("DELETE FROM sessions").rowcount

    monkeypatch.setattr(catalog, "dead_tuples", writes)
    first, *_ = plan(application, read().policies)
    assert isinstance(first, Unplanned)
    assert first.problem == "cannot execute DELETE in a read-only transaction"


def test_one_policy_that_fails_hides_no_other(application: Connection, read: Callable[..., Database]) -> None:
    policies = read(
        "version: 1\ndatabases: {app: {url: x, retention: ["
        "{table: nowhere, column: created_at, keep: 1 day}, {table: sessions, column: created, keep: 1 day},"
        "{table: public.sessions, column: id, keep: 1 day, name: by_id}]}}"
    )
    application.execute("CREATE TABLE fine (at timestamptz)")
    assert isinstance(policies.policies[0], Retention)
    fine_too = replace(policies.policies[0], table=TableName.parse("fine"), column="at")

    *failed, fine = plan(application, [*policies.policies, fine_too])

    assert isinstance(fine, DeletePlan)
    problems = [each.problem for each in failed if isinstance(each, Unplanned)]
    assert len(problems) == 3
    assert 'table "nowhere" does not exist' in problems[0]
    assert 'no column "created"; did you mean "created_at"?' in problems[1]
    assert "id is uuid; it must be a timestamp or date column" in problems[2]


def test_an_unreachable_database_hides_no_other(
    application: Connection, url: str, read: Callable[..., Database]
) -> None:
    here = replace(read(), name="here")
    there = replace(here, name="there", url_template="postgresql://nobody@127.0.0.1:1/x")

    made = list(plan_all(Policies((there, here)), {"OPS_DATABASE_URL": url}))

    assert [isinstance(each, Plan) for each in made] == [False] * 3 + [True] * 3


def test_a_locked_table_is_reported_and_not_waited_for(
    application: Connection, read: Callable[..., Database], url: str
) -> None:
    application.execute("SET lock_timeout = '50ms'")
    with psycopg.connect(url, application_name="their migration") as other:
        other.execute("LOCK TABLE sessions")
        first, second, _ = plan(application, read().policies)

    assert isinstance(first, Unplanned)
    assert "their migration" in first.problem
    assert isinstance(second, Unplanned), "it looks up the locked table as well"


def test_a_database_that_was_never_migrated_can_be_planned(
    new_database: Callable[..., str], read: Callable[..., Database]
) -> None:
    with connect(new_database(), "test") as connection:
        connection.execute("CREATE TABLE sessions (id uuid PRIMARY KEY, created_at timestamptz)")
        connection.execute("CREATE TABLE memories (id uuid PRIMARY KEY, session_id uuid)")
        # Rows on hold in it would keep their sessions; without our tables there are none.
        connection.execute("CREATE TABLE visits (session_id uuid REFERENCES sessions ON DELETE CASCADE)")
        connection.execute("INSERT INTO sessions VALUES (gen_random_uuid(), '2020-01-01')")

        first, *_ = plan(connection, read().policies)

    assert isinstance(first, DeletePlan)
    assert (first.rows.eligible, first.needs_approval) == (
        1, ("this run would delete 1 of 1 row of sessions (100%, guard.max_fraction is 50%)",),
    )  # fmt: skip


def test_it_shows_what_the_guard_would_do(application: Connection, read: Callable[..., Database]) -> None:
    application.execute("INSERT INTO sessions (created_at) VALUES (now() - interval '31 days')")

    first, *_ = plan(application, read().policies)

    assert isinstance(first, DeletePlan)
    assert first.needs_approval == (
        "this run would delete 3,001 of 6,001 rows of sessions (50.01%, guard.max_fraction is 50%)",
    )
    assert scalar(application, "SELECT count(*) FROM ops.plans") == 0


def test_times_outside_of_pythons_calendar_are_planned(connection: Connection, retention: Retention) -> None:
    connection.execute("CREATE TABLE sessions (created_at timestamptz)")
    connection.execute("INSERT INTO sessions VALUES ('0044-03-15 BC'), ('infinity'), ('20000-01-01')")

    plan = planned(connection, retention)

    assert (plan.rows.eligible, plan.rows.total) == (1, 3)
    assert plan.rows.oldest is not None
    result = carry_out(connection, retention)
    assert (result.outcome, result.removed, result.remaining) == ("done", 1, 0)
    connection.execute("DELETE FROM sessions WHERE isfinite(created_at)")
    assert carry_out(connection, retention).oldest is None

"""Retention deletes all rows older than the policy's `keep`, and no others."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from ops_pipeline.holds import holds
from ops_pipeline.maintenance.guard import approvals
from ops_pipeline.maintenance.kinds import carry_out, plan
from ops_pipeline.maintenance.plan import DeletePlan
from ops_pipeline.maintenance.result import RefusedError
from ops_pipeline.maintenance.retention.policy import Retention
from ops_pipeline.policies.model import Database
from ops_pipeline.postgres.connection import Connection, connect, scalar
from ops_pipeline.settings import Settings

EXPIRED = "SELECT count(*) FROM sessions WHERE created_at < now() - interval '30 days'"


def test_expired_rows_are_deleted_and_the_others_are_kept(
    application: Connection, retention: Retention
) -> None:
    result = carry_out(application, retention)

    assert (result.outcome, result.removed, result.remaining) == ("done", 3000, 0)
    assert result.scanned == 6000
    assert scalar(application, EXPIRED) == 0
    assert scalar(application, "SELECT count(*) FROM sessions") == 3000
    assert result.oldest == scalar(application, "SELECT min(created_at) FROM sessions")


def test_a_second_run_removes_nothing(application: Connection, retention: Retention) -> None:
    carry_out(application, retention)

    again = carry_out(application, retention)

    assert (again.outcome, again.removed, again.remaining) == ("done", 0, 0)


def test_a_row_without_a_time_is_kept(application: Connection, retention: Retention) -> None:
    application.execute("INSERT INTO sessions (created_at) VALUES (NULL), (NULL)")

    carry_out(application, retention)

    assert scalar(application, "SELECT count(*) FROM sessions WHERE created_at IS NULL") == 2


def test_rows_are_deleted_in_many_small_commits(
    application: Connection, retention: Retention, small_batches: None
) -> None:
    before = scalar(application, "SELECT pg_current_xact_id()::text::bigint")

    carry_out(application, retention)

    commits = scalar(application, "SELECT pg_current_xact_id()::text::bigint") - before
    assert commits > 10


@pytest.mark.parametrize("column_type", ["timestamp", "date"])
def test_times_without_a_zone_count_as_utc(
    connection: Connection, retention: Retention, column_type: str
) -> None:
    connection.execute(f"CREATE TABLE sessions (created_at {column_type})")
    connection.execute(
        "INSERT INTO sessions SELECT (now() AT TIME ZONE 'UTC')::date - day FROM generate_series(0, 40) day"
    )

    assert carry_out(connection, retention).remaining == 0
    assert scalar(connection, "SELECT count(*) FROM sessions") in (30, 31)


def test_a_locked_row_keeps_no_other_row(application: Connection, retention: Retention, url: str) -> None:
    with psycopg.connect(url) as other:
        other.execute("SELECT FROM sessions WHERE created_at < now() - interval '30 days' LIMIT 1 FOR UPDATE")
        application.execute("SET lock_timeout = '50ms'")

        result = carry_out(application, retention)

        assert (result.outcome, result.removed, result.remaining) == ("stopped", 2999, 1)
        assert "other sessions had locked them" in result.stopped_reason
    assert carry_out(application, retention).removed == 1


def test_locked_rows_are_tried_again_at_the_end(
    application: Connection, retention: Retention, small_batches: None, url: str
) -> None:
    with psycopg.connect(url) as other:
        other.execute("SELECT FROM sessions WHERE created_at < now() - interval '30 days' LIMIT 1 FOR UPDATE")
        batches = iter(range(1000))

        def let_go_later() -> None:
            if next(batches) == 20:
                other.rollback()

        result = carry_out(application, retention, stop=let_go_later)

    assert (result.outcome, result.removed, result.remaining) == ("done", 3000, 0)


def test_the_throttle_file_throttles_a_run_and_the_history_says_so(
    application: Connection, retention: Retention, tmp_path: Path
) -> None:
    file = tmp_path / "throttle"
    file.touch()
    threading.Timer(2.0, file.unlink).start()

    result = carry_out(application, retention, settings=Settings(throttle_file=file))

    assert (result.outcome, result.removed) == ("done", 3000)
    assert result.throttled["throttle_file"]["count"] >= 2
    assert result.seconds_throttled == pytest.approx(result.throttled["throttle_file"]["seconds"])
    assert result.working > 0
    assert result.wal_bytes > 0


def test_the_audit_log_records_what_a_run_removed(application: Connection, retention: Retention) -> None:
    result = carry_out(application, retention)
    carry_out(application, retention)

    ((action, by, details),) = application.execute("SELECT action, created_by, details FROM audit_logs")
    assert (action, by) == ("rows.removed", "system")
    assert (details["policy"], details["rows_removed"], details["run"]) == (
        "app/retention/sessions",
        3000,
        result.run_id,
    )


def test_a_position_saved_by_another_kind_of_scan_is_not_used(
    application: Connection, retention: Retention
) -> None:
    application.execute(
        "INSERT INTO ops.maintenance_cursors (policy, scan, position)"
        """ VALUES ('app/retention/sessions', 'time slices', '["2026-01-01"]')"""
    )

    assert carry_out(application, retention).removed == 3000


FEW_EXPIRED = """
TRUNCATE sessions;
CREATE INDEX ON sessions (created_at);
CREATE TEMPORARY TABLE times AS
SELECT now() - interval '31 days' - interval '1 second' * n AS at FROM generate_series(1, 40) n
UNION ALL SELECT now() - interval '1 second' * (n % %(moments)s) FROM generate_series(1, 60000) n;
"""


@pytest.mark.parametrize("order", ["at", "random()"])
@pytest.mark.parametrize(("moments", "method"), [(60_000, "time-slice scan"), (24, "keyset scan")])
def test_an_index_is_used_where_few_rows_have_expired(
    application: Connection, retention: Retention, order: str, moments: int, method: str
) -> None:
    application.execute(FEW_EXPIRED.replace("%(moments)s", str(moments)))
    application.execute(f"INSERT INTO sessions (created_at, note) SELECT at, '' FROM times ORDER BY {order}")  # noqa: S608 - ours
    application.execute("ANALYZE sessions")

    result = carry_out(application, retention)

    assert result.method.startswith(method)
    assert (result.removed, result.remaining) == (40, 0)


def test_a_run_stops_when_asked_and_the_next_run_continues(
    application: Connection, retention: Retention, small_batches: None
) -> None:
    batches = iter(range(100))
    result = carry_out(application, retention, stop=lambda: "asked to" if next(batches) == 3 else None)

    assert (result.outcome, result.stopped_reason) == ("stopped", "asked to")
    assert 0 < result.removed < 3000
    assert result.remaining == 3000 - result.removed

    rest = carry_out(application, retention)
    assert (rest.outcome, rest.removed, rest.remaining) == ("done", 3000 - result.removed, 0)
    assert rest.scanned <= 6000, "the part that was done is not walked a second time from its start"


def test_a_row_that_expired_behind_the_saved_position_is_deleted_too(
    application: Connection, retention: Retention, small_batches: None
) -> None:
    batches = iter(range(100))
    carry_out(application, retention, stop=lambda: "asked to" if next(batches) == 3 else None)
    application.execute(
        "UPDATE sessions SET created_at = now() - interval '1 year'"
        " WHERE ctid = (SELECT min(ctid) FROM sessions)"
    )

    assert carry_out(application, retention).remaining == 0


@hypothesis(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ages=st.lists(st.one_of(st.none(), st.integers(0, 80)), max_size=60), keep=st.integers(1, 60))
def test_the_outcome_is_what_the_plan_said(
    connection: Connection,
    read: Callable[..., Database],
    ages: list[int | None],
    keep: int,
) -> None:
    connection.execute("DROP TABLE IF EXISTS sessions; CREATE TABLE sessions (created_at timestamptz)")
    connection.execute(
        "TRUNCATE ops.maintenance_runs CASCADE"
    )  # else the guard compares with another example's run
    connection.execute(
        "INSERT INTO sessions SELECT now() - make_interval(days => age) - interval '1 hour'"
        " FROM unnest(%s::int[]) AS age",
        [ages],
    )
    database = read(
        f"version: 1\ndatabases: {{app: {{url: x, guard: {{max_fraction: 1}}, retention: "
        f"[{{table: sessions, column: created_at, keep: {keep} days}}]}}}}"
    )
    (planned,) = plan(connection, database.policies)

    result = carry_out(connection, database.policies[0])

    expected = sum(age is not None and age >= keep for age in ages)
    assert isinstance(planned, DeletePlan)
    assert planned.rows.eligible == result.removed == expected
    assert planned.rows.null == ages.count(None)
    assert scalar(connection, "SELECT count(*) FROM sessions") == len(ages) - expected


def test_a_run_that_needs_approval_removes_nothing_until_its_plan_is_approved_once(
    application: Connection, retention: Retention, small_batches: None
) -> None:
    shorter = replace(retention, keep=timedelta(days=10))

    stopped = carry_out(application, shorter)

    assert (stopped.outcome, stopped.removed, stopped.remaining) == ("needs_approval", 0, 5000)
    plan_id = stopped.details["plan"]
    assert stopped.stopped_reason.endswith(f"opsctl approve {plan_id}")
    assert scalar(application, "SELECT count(*) FROM sessions") == 6000

    approvals.approve(application, plan_id, "ada")
    batches = iter(range(100))
    begun = carry_out(application, shorter, stop=lambda: "asked to" if next(batches) == 3 else None)
    assert (begun.outcome, begun.removed > 0) == ("stopped", True)
    done = carry_out(application, shorter)

    assert (done.outcome, done.remaining, begun.removed + done.removed) == ("done", 0, 5000)
    assert done.details["approved_plan"] == plan_id
    with pytest.raises(approvals.ApprovalRefusedError):
        approvals.approve(application, plan_id, "ada")


def test_a_row_that_others_refer_to_is_kept_and_counted(
    application: Connection, retention: Retention
) -> None:
    application.execute("CREATE TABLE child (s uuid REFERENCES sessions); CREATE INDEX ON child (s)")
    application.execute("INSERT INTO child SELECT id FROM sessions ORDER BY created_at LIMIT 7")

    result = carry_out(application, retention)

    assert (result.outcome, result.removed, result.remaining) == ("done", 2993, 0)
    assert result.details["referenced"] == 7


def test_without_the_index_that_a_reference_needs_it_is_refused(
    application: Connection, retention: Retention
) -> None:
    application.execute(
        "CREATE TABLE child (s uuid REFERENCES sessions);"
        "INSERT INTO child SELECT NULL FROM generate_series(1, 10000)"
    )

    with pytest.raises(RefusedError, match=r"CREATE INDEX CONCURRENTLY ON public.child \(s\)"):
        carry_out(application, retention)

    assert scalar(application, "SELECT count(*) FROM sessions") == 6000


def test_a_row_is_kept_by_a_hold_added_during_the_run(
    application: Connection, retention: Retention, small_batches: None, url: str
) -> None:
    last = scalar(application, "SELECT id FROM sessions WHERE created_at < now() - interval '30 days'"
                               " ORDER BY ctid DESC LIMIT 1")  # fmt: skip
    batches = iter(range(1000))

    def hold_it_later() -> None:
        if next(batches) == 5:
            with connect(url, "a person") as person:
                holds.add(person, "sessions", f"id = {last}", reason="suit", owner="legal", by="ada")

    result = carry_out(application, retention, stop=hold_it_later)

    assert (result.outcome, result.removed, result.remaining) == ("done", 2999, 0)
    assert result.details["on_hold"] == 1
    assert scalar(application, "SELECT count(*) FROM sessions WHERE id = %s", [last]) == 1


def test_rows_inserted_during_a_run_are_kept(application: Connection, retention: Retention, url: str) -> None:
    ended = threading.Event()
    added = 0

    def write() -> None:
        nonlocal added
        with connect(url, "writer") as writer:
            while not ended.is_set():
                writer.execute("INSERT INTO sessions (created_at) VALUES (now())")
                added += 1

    writing = threading.Thread(target=write)
    writing.start()
    try:
        carry_out(application, retention)
    finally:
        ended.set()
        writing.join()

    assert scalar(application, "SELECT count(*) FROM sessions") == 3000 + added


@pytest.mark.parametrize("column_type", ["date", "day_of_ours"])
def test_a_date_expires_when_its_whole_day_has(
    connection: Connection, read: Callable[..., Database], column_type: str
) -> None:
    connection.execute("CREATE DOMAIN day_of_ours AS date")
    connection.execute(f"CREATE TABLE visits (day {column_type})".encode())
    connection.execute("INSERT INTO visits SELECT current_date - n FROM generate_series(0, 60) AS n")
    (policy,) = read(
        "version: 1\ndatabases: {app: {url: x, guard: {max_fraction: 1}, "
        "retention: [{table: visits, column: day, keep: 30 days}]}}"
    ).policies

    result = carry_out(connection, policy)

    assert result.removed == 30, "of the day 30 days ago, a row may be younger than 30 days"
    assert scalar(connection, "SELECT min(day) = current_date - 30 FROM visits")

"""Rows older than the policy keeps them go, all of them, and no others."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ops_pipeline import policy
from ops_pipeline.database import Connection, connect, scalar
from ops_pipeline.maintenance.perform import perform
from ops_pipeline.maintenance.plan import plan

EXPIRED = "SELECT count(*) FROM sessions WHERE created_at < now() - interval '30 days'"


def test_expired_rows_go_and_the_others_stay(application: Connection, retention: policy.Retention) -> None:
    result = perform(application, retention)

    assert (result.outcome, result.removed, result.left) == ("done", 3000, 0)
    assert result.examined == 6000
    assert scalar(application, EXPIRED) == 0
    assert scalar(application, "SELECT count(*) FROM sessions") == 3000
    assert result.oldest == scalar(application, "SELECT min(created_at) FROM sessions")


def test_a_second_run_removes_nothing(application: Connection, retention: policy.Retention) -> None:
    perform(application, retention)

    again = perform(application, retention)

    assert (again.outcome, again.removed, again.left) == ("done", 0, 0)


def test_a_row_without_a_time_stays(application: Connection, retention: policy.Retention) -> None:
    application.execute("INSERT INTO sessions (created_at) VALUES (NULL), (NULL)")

    perform(application, retention)

    assert scalar(application, "SELECT count(*) FROM sessions WHERE created_at IS NULL") == 2


def test_it_goes_in_many_small_commits(
    application: Connection, retention: policy.Retention, small_batches: None
) -> None:
    before = scalar(application, "SELECT pg_current_xact_id()::text::bigint")

    perform(application, retention)

    commits = scalar(application, "SELECT pg_current_xact_id()::text::bigint") - before
    assert commits > 10


def test_partitions_are_walked_and_made_ahead(
    connection: Connection, read: Callable[..., policy.Database]
) -> None:
    connection.execute(
        "INSERT INTO audit_logs (event_type, created_at)"
        " SELECT 'login', now() - make_interval(days => day) FROM generate_series(0, 120) AS day"
    )
    rule = replace(_audit_logs(read), keep=timedelta(days=90, minutes=1))

    result = perform(connection, rule)

    assert (result.removed, result.left) == (30, 0)
    partitions = "SELECT count(*) FROM pg_partition_tree('audit_logs') WHERE isleaf"
    assert scalar(connection, partitions) == 1 + 15


def _audit_logs(read: Callable[..., policy.Database]) -> policy.Retention:
    rule = read(
        "version: 1\ndatabases: {app: {url: x, retention:"
        " [{table: audit_logs, column: created_at, keep: 90 days, partition: day}]}}"
    ).policies[0]
    assert isinstance(rule, policy.Retention)
    return rule


@pytest.mark.parametrize("column_type", ["timestamp", "date"])
def test_times_without_a_zone_count_as_utc(
    connection: Connection, retention: policy.Retention, column_type: str
) -> None:
    connection.execute(f"CREATE TABLE sessions (created_at {column_type})")
    connection.execute(
        "INSERT INTO sessions SELECT (now() AT TIME ZONE 'UTC')::date - day FROM generate_series(0, 40) day"
    )

    assert perform(connection, retention).left == 0
    assert scalar(connection, "SELECT count(*) FROM sessions") in (30, 31)


def test_a_locked_row_keeps_only_itself(
    application: Connection, retention: policy.Retention, url: str
) -> None:
    with psycopg.connect(url) as other:
        other.execute("SELECT FROM sessions WHERE created_at < now() - interval '30 days' LIMIT 1 FOR UPDATE")
        application.execute("SET lock_timeout = '50ms'")

        result = perform(application, retention)

        assert (result.removed, result.left) == (2999, 1)
    assert perform(application, retention).removed == 1


def test_a_stop_is_heeded_and_the_next_run_goes_on(
    application: Connection, retention: policy.Retention, small_batches: None
) -> None:
    batches = iter(range(100))
    result = perform(application, retention, stop=lambda: "asked to" if next(batches) == 3 else None)

    assert (result.outcome, result.stopped_reason) == ("stopped", "asked to")
    assert 0 < result.removed < 3000
    assert result.left == 3000 - result.removed

    rest = perform(application, retention)
    assert (rest.outcome, rest.removed, rest.left) == ("done", 3000 - result.removed, 0)
    assert rest.examined <= 6000, "the part that was done is not walked a second time from its start"


def test_a_row_that_expired_behind_the_saved_place_goes_too(
    application: Connection, retention: policy.Retention, small_batches: None
) -> None:
    batches = iter(range(100))
    perform(application, retention, stop=lambda: "asked to" if next(batches) == 3 else None)
    application.execute(
        "UPDATE sessions SET created_at = now() - interval '1 year'"
        " WHERE ctid = (SELECT min(ctid) FROM sessions)"
    )

    assert perform(application, retention).left == 0


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ages=st.lists(st.one_of(st.none(), st.integers(0, 80)), max_size=60), keep=st.integers(1, 60))
def test_the_outcome_is_what_the_plan_said(
    connection: Connection,
    read: Callable[..., policy.Database],
    ages: list[int | None],
    keep: int,
) -> None:
    connection.execute("DROP TABLE IF EXISTS sessions; CREATE TABLE sessions (created_at timestamptz)")
    connection.execute(
        "INSERT INTO sessions SELECT now() - make_interval(days => age) - interval '1 hour'"
        " FROM unnest(%s::int[]) AS age",
        [ages],
    )
    rules = read(
        f"version: 1\ndatabases: {{app: {{url: x, retention: "
        f"[{{table: sessions, column: created_at, keep: {keep} days}}]}}}}"
    )
    (planned,) = plan(connection, rules)

    result = perform(connection, rules.policies[0])

    expected = sum(age is not None and age >= keep for age in ages)
    assert planned.eligible == result.removed == expected
    assert planned.unset == ages.count(None)
    assert scalar(connection, "SELECT count(*) FROM sessions") == len(ages) - expected


def test_rows_that_arrive_meanwhile_are_not_lost(
    application: Connection, retention: policy.Retention, url: str
) -> None:
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
        perform(application, retention)
    finally:
        ended.set()
        writing.join()

    assert scalar(application, "SELECT count(*) FROM sessions") == 3000 + added

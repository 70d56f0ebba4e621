"""A partition is dropped whole only when no row in it is kept; foreign tables are left alone."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from psycopg import sql as compose

from ops_pipeline.maintenance.kinds import carry_out, plan
from ops_pipeline.maintenance.plan import DeletePlan
from ops_pipeline.maintenance.result import RefusedError
from ops_pipeline.maintenance.retention.plan import backlog
from ops_pipeline.maintenance.retention.policy import Retention
from ops_pipeline.partitions import drop
from ops_pipeline.partitions.partition import existing
from ops_pipeline.partitions.premake import premake_days
from ops_pipeline.policies.model import Database
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.postgres.relation import audit_logs, find_relation
from ops_pipeline.settings import Settings
from tests.named import named

Read = Callable[[str], Database]


def of_policies(read: Read, more: str = "") -> Database:
    return read(
        "version: 1\ndatabases:\n  app:\n    url: x\n    retention:\n      - {table: events, "
        f"column: created_at, keep: 30 days, guard: {{max_fraction: 1}}{more}}}\n"
    )


def events(connection: Connection, first: str, kind: str = "timestamptz", last: str = "'2020-01-01'") -> None:
    statements = (
        f"CREATE TABLE events (id int, created_at {kind}) PARTITION BY RANGE (created_at)",
        f"CREATE TABLE events_first PARTITION OF events FOR VALUES FROM ({first}) TO ({last})",
        "CREATE TABLE events_rest PARTITION OF events DEFAULT",
        "INSERT INTO events SELECT n, '2019-06-01' FROM generate_series(1, 50) AS n",
        "INSERT INTO events VALUES (90, now()), (91, 'infinity'), (92, NULL)",
    )
    for statement in statements:
        connection.execute(statement.encode())


def ids(connection: Connection) -> list[int]:
    return [id_ for (id_,) in connection.execute("SELECT id FROM events ORDER BY id")]


def run(connection: Connection, database: Database, tmp_path: Path) -> int:
    """The number of rows that the policy deletes, as planned."""
    (planned,) = plan(connection, database.policies)
    assert isinstance(planned, DeletePlan), planned
    result = carry_out(connection, database.policies[0], settings=Settings(archive_url=str(tmp_path)))
    assert (result.removed, result.outcome, result.remaining) == (planned.rows.eligible, "done", 0)
    return result.removed


@pytest.mark.parametrize("name", ["old", "Old days", 'say"so'])
def test_history_has_the_counted_rows_of_a_partition_of_any_name(
    connection: Connection, read: Read, tmp_path: Path, name: str
) -> None:
    connection.execute("CREATE TABLE events (id int, created_at timestamptz) PARTITION BY RANGE (created_at)")
    create = "CREATE TABLE {} PARTITION OF events FOR VALUES FROM ('2019-01-01') TO ('2020-01-01')"
    connection.execute(compose.SQL(create).format(compose.Identifier(name)))
    connection.execute("INSERT INTO events SELECT n, '2019-06-01' FROM generate_series(1, 50) AS n")
    connection.execute("SELECT pg_stat_force_next_flush()")
    connection.execute("SELECT pg_stat_reset()")

    assert run(connection, of_policies(read), tmp_path) == 50


@pytest.mark.parametrize("more", ["", ", archive: true", ", partition: day"])
@pytest.mark.parametrize("first", ["MINVALUE", "'-infinity'"])
@pytest.mark.parametrize("kind", ["timestamptz", "date"])
def test_rows_of_minus_infinity_survive_in_an_expired_partition(
    connection: Connection, read: Read, tmp_path: Path, kind: str, first: str, more: str
) -> None:
    events(connection, first, kind)
    connection.execute("INSERT INTO events VALUES (93, '-infinity')")

    assert run(connection, of_policies(read, more), tmp_path) == 50
    assert ids(connection) == [90, 91, 92, 93]
    assert scalar(connection, "SELECT count(*) FROM events_first") == 1


@pytest.mark.parametrize("first", ["MINVALUE", "'-infinity'"])
def test_a_partition_without_a_kept_row_is_dropped_whole(
    connection: Connection, read: Read, tmp_path: Path, first: str
) -> None:
    events(connection, first)

    assert run(connection, of_policies(read), tmp_path) == 50
    assert ids(connection) == [90, 91, 92]
    assert scalar(connection, "SELECT to_regclass('events_first') IS NULL")


@pytest.mark.parametrize("last", ["MAXVALUE", "'infinity'"])
def test_a_partition_without_an_end_is_not_dropped(
    connection: Connection, read: Read, tmp_path: Path, last: str
) -> None:
    events(connection, "'2010-01-01'", last=last)

    assert run(connection, of_policies(read), tmp_path) == 50
    assert ids(connection) == [90, 91, 92]


def test_a_row_that_arrives_before_the_drop_is_kept(connection: Connection) -> None:
    events(connection, "MINVALUE")
    table = named(connection, "events")
    (first,) = [each for each in existing(connection, table) if not each.is_default]
    assert first.may_hold_minus_infinity
    answers = [None, "a row came in between"]

    kept = drop.remove(connection, table, first, keeps=lambda _: answers.pop(0))

    assert kept == drop.KeptPartition("a row came in between; it was attached again")
    assert len(ids(connection)) == 53


@pytest.fixture
def foreign(connection: Connection) -> Connection:
    """Events with one partition that is a foreign table and cannot even be read."""
    connection.execute(
        "CREATE TABLE events (id int, created_at timestamptz) PARTITION BY RANGE (created_at);"
        "CREATE TABLE events_2019 PARTITION OF events FOR VALUES FROM ('2019-01-01') TO ('2020-01-01');"
        "CREATE TABLE events_rest PARTITION OF events DEFAULT;"
        "CREATE EXTENSION file_fdw; CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;"
        "CREATE FOREIGN TABLE events_2018 PARTITION OF events FOR VALUES FROM ('2018-01-01')"
        " TO ('2019-01-01') SERVER files OPTIONS (filename '/nowhere/events.csv', format 'csv');"
        "INSERT INTO events SELECT n, '2019-06-01' FROM generate_series(1, 50) AS n;"
        "INSERT INTO events SELECT n, '2017-06-01' FROM generate_series(51, 60) AS n;"
        "INSERT INTO events VALUES (90, now()), (91, NULL)"
    )
    return connection


@pytest.mark.parametrize("more", ["", ", archive: true", ", partition: day"])
def test_a_foreign_partition_is_left_alone_and_named(
    foreign: Connection, read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str
) -> None:
    database = of_policies(read, more)
    (planned,) = plan(foreign, database.policies)
    assert isinstance(planned, DeletePlan)
    assert (planned.rows.eligible, planned.rows.total, planned.rows.exact) == (60, 62, True)
    assert any("public.events_2018 is a foreign table" in each for each in planned.advice)
    with monkeypatch.context() as hurry:
        hurry.setattr("ops_pipeline.maintenance.row_counter.RowCounter.count", lambda *_: None)
        (sampled,) = plan(foreign, database.policies)
    assert isinstance(sampled, DeletePlan), sampled
    assert not sampled.rows.exact

    assert run(foreign, database, tmp_path) == 60
    kept = "SELECT array_agg(id ORDER BY id) FROM events WHERE id >= 90 AND created_at > '2020-01-01'"
    assert scalar(foreign, kept) == [90]
    assert scalar(foreign, "SELECT count(*) FROM events WHERE created_at IS NULL") == 1
    assert scalar(foreign, "SELECT to_regclass('events_2018') IS NOT NULL")
    policy = database.policies[0]
    assert isinstance(policy, Retention)
    assert backlog(foreign, policy, datetime.now(UTC) - timedelta(days=1)) == 0


def test_orphans_in_a_table_with_a_foreign_partition_are_refused(foreign: Connection, read: Read) -> None:
    foreign.execute("CREATE TABLE users (id int PRIMARY KEY)")
    database = read(
        "version: 1\ndatabases:\n  app:\n    url: x\n    orphans:\n"
        "      - {table: events, column: id, references: users.id, grace_period: 0 seconds}\n"
        "      - {table: users, column: id, references: users.id, grace_period: 0 seconds}\n"
    )

    users, of_events = plan(foreign, database.policies)

    assert isinstance(users, DeletePlan), "another policy's plan is not in the way"
    assert isinstance(of_events, DeletePlan), of_events
    assert "public.events_2018 is a foreign table" in of_events.refusals[0]
    with pytest.raises(RefusedError, match=r"public\.events_2018 is a foreign table"):
        carry_out(foreign, database.policies[1])


def test_a_partition_that_a_view_keeps_is_named_in_the_result(connection: Connection, read: Read) -> None:
    events(connection, "'2019-01-01'")
    connection.execute("CREATE VIEW of_2019 AS SELECT * FROM events_first")

    result = carry_out(connection, of_policies(read).policies[0])

    assert (result.outcome, result.removed) == ("done", 50)
    (why,) = result.details["undone"]
    assert why.startswith("public.events_first was not dropped: ")
    assert "view of_2019" in why
    assert why.endswith("its expired rows are deleted row by row instead")


def test_expired_days_of_the_audit_log_are_dropped_whole(
    connection: Connection, read: Read, tmp_path: Path
) -> None:
    today = datetime.now(UTC).date()
    premake_days(connection, find_relation(connection, audit_logs()), today - timedelta(days=40), today)
    connection.execute(
        "INSERT INTO audit_logs (event_type, action, created_at)"
        " SELECT 'made', 'x', now() - make_interval(days => n) FROM generate_series(0, 40) AS n"
    )
    database = read(
        "version: 1\ndatabases: {app: {url: x, retention: [{table: audit_logs, column: created_at, "
        "keep: 30 days, partition: day, guard: {max_fraction: 1}}]}}"
    )

    run(connection, database, tmp_path)

    left = existing(connection, find_relation(connection, audit_logs()))
    assert min(each.lower for each in left if each.lower) > datetime.now(UTC) - timedelta(days=32)

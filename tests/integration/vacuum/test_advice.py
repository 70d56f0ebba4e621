"""Autovacuum settings that cannot keep up are reported with a statement, which is never run by itself."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from psycopg import sql as compose

import sql
from ops_pipeline.maintenance import history
from ops_pipeline.maintenance.kinds import carry_out
from ops_pipeline.maintenance.plan import Planning
from ops_pipeline.maintenance.vacuum import advice
from ops_pipeline.maintenance.vacuum.advice import Rate, Writes
from ops_pipeline.maintenance.vacuum.plan import plan_vacuum
from ops_pipeline.maintenance.vacuum.policy import Vacuum
from ops_pipeline.policies.model import Database
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.postgres.relation import Relation, TableName

POLICY = 'version: 1\ndatabases: {app: {url: x, vacuum: {tables: ["Odd.Name"]}}}\n'
RELOPTIONS = """SELECT reloptions FROM pg_class WHERE oid = '"Odd"."Name"'::regclass"""
WRITES = Writes(
    Relation(1, "Odd", "Name"), 1, enabled=True, rows=1_000_000, dead=0, died=0, written=0, visits=0,
    threshold=50, scale=0.2, trigger=200_050, analyze_trigger=100_050, delay=2.0, limit=200, pages=10_000,
    index_pages=5_000,
)  # fmt: skip
LARGE = replace(WRITES, rows=2e7, trigger=4_000_050, analyze_trigger=2_000_050)
DAY = Rate(died=100_000, written=100_000, visits=1, period=timedelta(days=1))


@pytest.fixture
def policy(read: Callable[..., Database]) -> Vacuum:
    (found,) = read(POLICY).policies
    assert isinstance(found, Vacuum)
    return found


@pytest.fixture
def odd(connection: Connection) -> Connection:
    """A table of 5,000 rows whose name has to be quoted, known to the server's statistics."""
    connection.execute("""CREATE SCHEMA "Odd"; CREATE TABLE "Odd"."Name" (id int, note text)""")
    connection.execute("""INSERT INTO "Odd"."Name" SELECT n, 'x' FROM generate_series(1, 5000) n""")
    connection.execute("""CREATE INDEX ON "Odd"."Name" (note); SELECT pg_stat_force_next_flush()""")
    connection.execute('''VACUUM ANALYZE "Odd"."Name"''')
    return connection


def _advised(connection: Connection, policy: Vacuum) -> list[dict[str, Any]]:
    return [dict(each) for each in carry_out(connection, policy).details["advice"]]


def _run(connection: Connection, statement: str) -> list[str]:
    connection.execute(compose.SQL(statement))
    return list(scalar(connection, RELOPTIONS) or [])


def test_a_table_with_autovacuum_off_is_reported_once_it_was_due(odd: Connection, policy: Vacuum) -> None:
    odd.execute("""ALTER TABLE "Odd"."Name" SET (autovacuum_enabled = false)""")
    assert _advised(odd, policy) == []
    odd.execute("""DELETE FROM "Odd"."Name" WHERE id <= 2000""")
    odd.execute("SELECT pg_stat_force_next_flush()")

    planned = plan_vacuum(Planning(odd, 5), policy)
    (advised,) = _advised(odd, policy)

    assert "which has 2,000 dead rows; it would have started at 1,050" in advised["reason"]
    assert planned.advice == (f"Odd.Name: {advised['reason']}: {advised['statement']}",)
    assert scalar(odd, RELOPTIONS) == ["autovacuum_enabled=false"], "it is never applied by itself"
    assert _run(odd, advised["statement"]) == ["autovacuum_enabled=true"]
    assert _advised(odd, policy) == []


@pytest.mark.parametrize(
    ("writes", "rate", "option", "because"),
    [
        (
            WRITES, replace(DAY, died=3_000_000_000), "autovacuum_vacuum_cost_limit=458",
            "6 seconds, but with a cost delay of 2 ms for each 200 of cost one pass takes about 3 seconds",
        ),
        (
            replace(WRITES, pages=4_000_000), replace(DAY, died=20_000_000_000),
            "autovacuum_vacuum_cost_delay=0", "one pass takes about 2 minutes",
        ),
        (
            replace(WRITES, dead=900_000), replace(DAY, died=2_000_500), "autovacuum_vacuum_cost_delay=0",
            "for 10 autovacuums; the table was vacuumed 1 time and has 900,000 dead rows, 4.5 times the",
        ),
        (
            LARGE, replace(DAY, died=200_000), "autovacuum_vacuum_scale_factor=0.01",
            "it runs every 20 days. With this setting it runs about daily",
        ),
        (
            LARGE, replace(DAY, died=0, written=200_000), "autovacuum_analyze_scale_factor=0.01",
            "analyzes it only after 2,000,050: every 10 days",
        ),
    ],
)  # fmt: skip
def test_each_advice_is_a_statement_that_runs_and_changes_that_option(
    odd: Connection, writes: Writes, rate: Rate, option: str, because: str
) -> None:
    advised = advice.advise_table(odd, writes, rate)

    assert advised is not None
    assert because in advised.reason
    assert advised.statement.startswith('ALTER TABLE "Odd"."Name" SET (')
    assert _run(odd, advised.statement) == [option]


@pytest.mark.parametrize(
    ("writes", "rate"),
    [
        (WRITES, None),
        (WRITES, DAY),
        (WRITES, replace(DAY, died=0, written=0)),
        (replace(WRITES, dead=10_000_000), replace(DAY, died=2_000_500, visits=9)),
        (LARGE, replace(DAY, died=advice.MANY - 1, written=advice.MANY - 1)),
        (replace(WRITES, enabled=False, dead=100), DAY),
    ],
)
def test_settings_that_keep_up_are_left_alone(odd: Connection, writes: Writes, rate: Rate | None) -> None:
    assert advice.advise_table(odd, writes, rate) is None


def test_rows_that_died_since_an_earlier_run_are_the_evidence(odd: Connection, policy: Vacuum) -> None:
    _churn(odd)
    assert _advised(odd, policy) == [], "the rate is not known yet"
    _two_hours_pass(odd)
    _churn(odd)

    (advised,) = _advised(odd, policy)

    assert "20,000 dead rows in 2 hours are enough for 19 autovacuums" in advised["reason"]
    assert advised["statement"] == 'ALTER TABLE "Odd"."Name" SET (autovacuum_vacuum_cost_delay = 0)'


def test_rows_that_policies_deleted_are_no_evidence(odd: Connection, policy: Vacuum) -> None:
    _churn(odd)
    carry_out(odd, policy)
    _two_hours_pass(odd)
    _churn(odd)
    for table, schema in (("Name", "Odd"), ("other", "public")):
        history.begin(odd, "app/retention/whatever:it is/called", None, TableName(schema, table))
        odd.execute("UPDATE ops.maintenance_runs SET rows_removed = 20000 WHERE outcome = 'running'")

    assert _advised(odd, policy) == []


@pytest.mark.parametrize(
    "entry",
    [
        "retention: [{table: Odd.Name, column: at, keep: 30 days, name: short}]",
        "orphans: [{table: Odd.Name, column: id, references: parents.id, grace_period: 0 seconds}]",
    ],
)
def test_a_policy_is_matched_by_its_table_whatever_its_name(
    odd: Connection, read: Callable[..., Database], entry: str
) -> None:
    odd.execute("""ALTER TABLE "Odd"."Name" ADD at timestamptz DEFAULT '2020-01-01'""")
    odd.execute("CREATE TABLE parents (id int PRIMARY KEY)")
    text = f"version: 1\ndatabases: {{app: {{url: x, guard: {{max_fraction: 1}}, {entry}}}}}\n"
    (policy,) = read(text).policies

    assert carry_out(odd, policy).removed == 5000

    oid = scalar(odd, """SELECT '"Odd"."Name"'::regclass::oid::bigint""")
    since = "SELECT now() - interval '1 hour'"
    statement = sql.get("maintenance/vacuum/removed_since")
    assert odd.execute(statement, {"since": scalar(odd, since)}).fetchall() == [(oid, 5000)]


def test_less_than_an_hour_is_no_evidence(odd: Connection, policy: Vacuum) -> None:
    _churn(odd)
    carry_out(odd, policy)
    _churn(odd)

    assert _advised(odd, policy) == []


def test_a_server_without_autovacuum_is_reported(on_primary: Connection, everything: Vacuum) -> None:
    (advised,) = _advised(on_primary, everything)

    assert advised["statement"] == "ALTER SYSTEM SET autovacuum = on; SELECT pg_reload_conf();"


def _churn(connection: Connection) -> None:
    """20,000 rows die that no update could replace in their page, within less than autovacuum's minute."""
    for turn in range(4):
        connection.execute("""UPDATE "Odd"."Name" SET note = %s""", [str(turn)])
    connection.execute("SELECT pg_stat_force_next_flush()")


def _two_hours_pass(connection: Connection) -> None:
    connection.execute(
        "UPDATE ops.maintenance_runs SET details = jsonb_set(details, '{counted,at}',"
        " to_jsonb((details #>> '{counted,at}')::timestamptz - interval '2 hours'))"
    )

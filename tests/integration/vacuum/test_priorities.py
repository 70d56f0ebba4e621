"""The order of VACUUM: oldest tables, most dead rows, stale statistics; other tables are skipped."""

from dataclasses import replace

import pytest

from ops_pipeline.maintenance.kinds import carry_out
from ops_pipeline.maintenance.vacuum import priorities, tables
from ops_pipeline.maintenance.vacuum.policy import Vacuum
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.postgres.relation import TableName

SPEND = """
CREATE TEMPORARY TABLE spent (n int);
DO $$ BEGIN
  FOR n IN 1..55000 LOOP
    BEGIN INSERT INTO spent VALUES (n); EXCEPTION WHEN OTHERS THEN RAISE; END;
  END LOOP;
END $$;
DROP TABLE spent
"""
"""Each of these small blocks uses its own transaction id."""


@pytest.fixture
def quiet(connection: Connection) -> Connection:
    """A database whose tables need no VACUUM, with autovacuum off."""
    for name in ("few", "many", "fresh"):
        connection.execute(f"CREATE TABLE {name} (n int) WITH (autovacuum_enabled = false)")
        connection.execute(f"INSERT INTO {name} SELECT generate_series(1, 10000)")
    connection.execute("SELECT pg_stat_force_next_flush()")
    connection.execute("VACUUM ANALYZE")
    return connection


def _worked_on(connection: Connection, policy: Vacuum) -> list[tuple[str, str]]:
    worked_on = carry_out(connection, policy).details["tables"]
    return [(each["table"], each["action"]) for each in worked_on if each["table"].startswith("public.")]


def test_a_table_aged_past_the_threshold_comes_first(quiet: Connection, everything: Vacuum) -> None:
    quiet.execute("CREATE TABLE zz_old (n int) WITH (autovacuum_freeze_max_age = 100000)")
    quiet.execute("INSERT INTO zz_old VALUES (1)")
    quiet.execute(SPEND)
    quiet.execute("DELETE FROM many")

    result = carry_out(quiet, everything)

    old, many = [each for each in result.details["tables"] if each["table"].startswith("public.")]
    assert (old["table"], old["action"], many["table"], many["action"]) == (
        "public.zz_old", "freeze", "public.many", "vacuum",
    )  # fmt: skip
    assert result.details["tables"][0] == old
    assert "autovacuum must freeze it at 100,000" in old["reason"]
    assert old["age_before"] > 50_000
    assert old["age_after"] < 1000


def test_tables_with_most_dead_rows_come_before_the_rest(quiet: Connection, everything: Vacuum) -> None:
    quiet.execute("DELETE FROM few WHERE n <= 1000")
    quiet.execute("DELETE FROM many WHERE n <= 9000")
    quiet.execute("INSERT INTO fresh SELECT generate_series(1, 1000)")

    assert _worked_on(quiet, everything) == [
        ("public.many", "vacuum"), ("public.few", "vacuum"), ("public.fresh", "analyze"),
    ]  # fmt: skip


def test_tables_that_need_no_vacuum_are_skipped_with_the_reason(
    quiet: Connection, everything: Vacuum
) -> None:
    quiet.execute("DELETE FROM few WHERE n <= 100")

    result = carry_out(quiet, everything)

    skipped = {each["table"]: each["reason"] for each in result.details["skipped"]}
    assert skipped["public.few"].startswith("100 dead rows of 10,000, 100 written since ANALYZE, 0% of")
    assert skipped["public.audit_logs_default"] == "empty"
    assert result.outcome == "done"
    assert result.dead_tuples_after >= 100, "what was left alone is counted"


def test_mode_always_vacuums_every_table_once(quiet: Connection, everything: Vacuum) -> None:
    result = carry_out(quiet, replace(everything, mode="always"))

    done = [each["table"] for each in result.details["tables"]]
    assert len(done) == len(set(done))
    assert {"public.few", "public.audit_logs_default", "pg_catalog.pg_class"} <= set(done)
    count = scalar(quiet, "SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'm', 'p')")
    assert result.scanned == len(done) == count
    assert scalar(quiet, "SELECT count(*) FROM pg_stat_user_tables WHERE last_analyze IS NULL") == 0


def test_only_the_partitions_that_need_it_are_vacuumed(quiet: Connection, everything: Vacuum) -> None:
    quiet.execute("CREATE TABLE logs (day int, n int) PARTITION BY LIST (day)")
    for day in range(5):
        quiet.execute(f"CREATE TABLE logs_{day} PARTITION OF logs FOR VALUES IN ({day})")
    quiet.execute("INSERT INTO logs SELECT n % 5, n FROM generate_series(1, 5000) n")
    quiet.execute("SELECT pg_stat_force_next_flush()")
    quiet.execute("VACUUM ANALYZE logs")
    policy = replace(everything, tables=(TableName.parse("logs"),))
    assert _worked_on(quiet, policy) == []

    quiet.execute("DELETE FROM logs WHERE day = 2 AND n <= 1000")

    assert _worked_on(quiet, policy) == [("public.logs_2", "vacuum")]
    assert scalar(quiet, "SELECT reltuples FROM pg_class WHERE relname = 'logs_2'") == 800


def test_statistics_of_the_partitioned_table_itself_are_updated(
    quiet: Connection, everything: Vacuum
) -> None:
    quiet.execute(
        "CREATE TABLE logs (n int) PARTITION BY LIST (n); CREATE TABLE part PARTITION OF logs DEFAULT"
    )
    quiet.execute("INSERT INTO logs SELECT 7 FROM generate_series(1, 1000)")
    policy = replace(everything, tables=(TableName.parse("logs"),))

    assert _worked_on(quiet, policy) == [("public.logs", "analyze")]
    assert scalar(quiet, "SELECT count(*) FROM pg_stats WHERE tablename = 'logs' AND inherited") == 1
    assert _worked_on(quiet, policy) == []


def test_missing_statistics_are_collected_again(quiet: Connection, everything: Vacuum) -> None:
    quiet.execute("DELETE FROM few WHERE n <= 5000")
    quiet.execute("SELECT pg_stat_force_next_flush()")
    quiet.execute("SELECT pg_stat_reset()")

    result = carry_out(quiet, everything)

    (few,) = [each for each in result.details["tables"] if each["table"] == "public.few"]
    assert few["reason"].startswith("the server has no statistics for it")
    assert scalar(quiet, "SELECT n_live_tup FROM pg_stat_user_tables WHERE relname = 'few'") == 5000


def test_tables_that_the_role_may_not_vacuum_are_skipped(quiet: Connection, everything: Vacuum) -> None:
    quiet.execute("SET ROLE pg_monitor")

    chosen = priorities.choose(tables.policy_tables(quiet, replace(everything, mode="always")), everything)

    reasons = {str(each.table): each.reason for each in chosen if each.action == "skip"}
    assert "may not vacuum" in reasons["pg_catalog.pg_class"]

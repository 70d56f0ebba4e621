"""A table that pg_partman maintains as well."""

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from benchmarks import debian
from ops_pipeline.maintenance.kinds import carry_out
from ops_pipeline.policies.model import Database
from ops_pipeline.postgres.connection import Connection, connect, scalar
from ops_pipeline.postgres.migrations import migrate

PARTMAN = """
CREATE SCHEMA partman;
CREATE EXTENSION pg_partman SCHEMA partman;
CREATE TABLE visits (at timestamptz NOT NULL) PARTITION BY RANGE (at);
SELECT partman.create_parent('public.visits', 'at', 'native', 'daily', p_premake := 2,
                             p_start_partition := (date_trunc('day', now()) - interval '9 days')::text);
INSERT INTO visits SELECT now() - make_interval(days => day) FROM generate_series(0, 9) AS day;
"""
POLICY = """
version: 1
databases:
  app:
    url: ${{OPS_DATABASE_URL}}
    retention: [{{table: visits, column: at, keep: 5 days, guard: {{max_fraction: 1}}{partition}}}]
"""
EXPIRED = 4
"""The days, of ten, that have expired as a whole."""
PARTITIONS = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'visits'::regclass"


@pytest.fixture
def visits(tmp_path: Path) -> Iterator[Connection]:
    """Ten days of one visit each, on PostgreSQL 15 with pg_partman."""
    if not debian.has_partman():
        pytest.skip("postgresql-15-partman is not installed")
    with debian.running(tmp_path / "debian") as server:
        migrate(server.url("app"))
        with connect(server.url("app"), "test") as connection:
            connection.execute(PARTMAN)
            yield connection


def test_its_partitions_are_dropped_and_pg_partman_keeps_working(
    visits: Connection, read: Callable[..., Database]
) -> None:
    before = scalar(visits, PARTITIONS)

    result = carry_out(visits, read(POLICY.format(partition="")).policies[0])
    dropped = before - scalar(visits, PARTITIONS)
    visits.execute("SELECT partman.run_maintenance('public.visits')")

    assert (result.outcome, result.remaining) == ("done", 0)
    assert dropped == EXPIRED
    assert scalar(visits, "SELECT count(*) FROM visits") == 5


def test_days_that_pg_partman_has_created_are_not_created_again(
    visits: Connection, read: Callable[..., Database]
) -> None:
    policy = read(POLICY.format(partition=", partition: day, premake: 2 days")).policies[0]
    carry_out(visits, policy)
    before = scalar(visits, PARTITIONS)

    again = carry_out(visits, policy)
    visits.execute("SELECT partman.run_maintenance('public.visits')")

    assert again.outcome == "done"
    assert scalar(visits, PARTITIONS) == before


def test_a_partition_that_pg_partman_drops_meanwhile_is_named_and_the_next_run_continues(
    visits: Connection, read: Callable[..., Database]
) -> None:
    # A partition with a row on hold is emptied row by row, so that it can be dropped during the run.
    visits.execute("CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'")
    visits.execute("CREATE TRIGGER keep BEFORE DELETE ON visits FOR EACH ROW EXECUTE FUNCTION keep()")
    policy = read(POLICY.format(partition="")).policies[0]
    name = scalar(visits, "SELECT tableoid::regclass::text FROM visits ORDER BY at LIMIT 1")
    url = visits.info
    asked = 0

    def drop_it() -> None:
        nonlocal asked
        asked += 1
        if asked == EXPIRED + 1:  # before the first batch; each partition was asked about before
            with psycopg.connect(
                host=url.host, port=url.port, user=url.user, password=url.password, dbname="app",
                autocommit=True,
            ) as partman:  # fmt: skip
                partman.execute(f"DROP TABLE {name}")

    with pytest.raises(psycopg.errors.UndefinedTable, match=name.rpartition(".")[2]):
        carry_out(visits, policy, stop=drop_it)

    assert carry_out(visits, policy).outcome == "done"
    assert scalar(visits, "SELECT count(*) FROM visits") == 5

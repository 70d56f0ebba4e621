"""Values that a role may write into our tables stay values: they never become part of a statement, nor a
path out of the archive."""

import json
from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from ops_pipeline.partitions.partition import existing
from ops_pipeline.postgres.connection import Connection, connect, row, scalar
from tests.named import named

GOOD = {"column": "id", "operator": "=", "value": "1", "time": False}
TEMPORARY = """
CREATE FUNCTION pg_temp.become() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN EXECUTE 'CREATE TABLE ops.owned ()'; RETURN 1; END $$;
CREATE TEMP TABLE parents (id bigint);
CREATE TEMP VIEW deleted AS SELECT pg_temp.become() AS id;
GRANT SELECT ON deleted TO PUBLIC;
CREATE TRIGGER noted AFTER DELETE ON parents FOR EACH STATEMENT
  EXECUTE FUNCTION ops.record_deleted_parents('p', 'id');
"""


@pytest.fixture
def login(connection: Connection, url: str) -> Iterator[Connection]:
    """A login that is a member of ops_maintenance and owns nothing."""
    name = f"login_{uuid4().hex[:8]}"
    connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'x' IN ROLE ops_maintenance")
    try:
        with connect(make_conninfo(url, user=name, password="x"), "test") as session:
            yield session
    finally:
        connection.execute(f"DROP OWNED BY {name} CASCADE; DROP ROLE {name}")


def hold(login: Connection, predicate: object) -> None:
    login.execute(
        "SELECT ops.add_hold('public', 'audit_logs', 'audit_logs'::regclass, %s, 'x', 'x', 'y', 'z', NULL)",
        [json.dumps(predicate)],
    )


@pytest.mark.parametrize(
    "predicate",
    [
        [],
        {},
        "id = 1",
        [GOOD | {"operator": "=) 1 OR (1"}],
        [GOOD | {"operator": "<>"}],
        [GOOD | {"column": 1}],
        [GOOD | {"value": None}],
        [GOOD | {"value": "yesterday", "time": True}],
        [GOOD | {"time": "true"}],
        [GOOD, {}],
        [GOOD, "id"],
    ],
)
def test_a_predicate_that_is_no_list_of_comparisons_is_refused(
    connection: Connection, login: Connection, predicate: object
) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        hold(login, predicate)
    hold(login, [GOOD, GOOD | {"operator": ">=", "value": "2026-01-01T00:00:00.000001+00:00", "time": True}])
    with pytest.raises(psycopg.errors.CheckViolation):
        login.execute(
            "SELECT ops.bind_hold((SELECT id FROM ops.legal_holds), 'public', 'x', 1::oid, %s, 'x')",
            [json.dumps(predicate)],
        )


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../x", "a//x", "./x", "a/", "a\\\\x", ""])
@pytest.mark.parametrize("field", ["path", "temporary_path"])
def test_a_recorded_path_outside_of_the_archive_is_refused(login: Connection, path: str, field: str) -> None:
    file = {
        "policy": "p", "run_id": 1, "table_schema": "public", "table_name": "x", "path": "x/part-1.parquet",
        "temporary_path": "x/.0-part-1.unfinished", "rows": 1, "bytes": 1, "sha256": "0" * 64, "schema": [],
    }  # fmt: skip
    login.execute("SELECT ops.record_archives(%s)", [json.dumps([file])])
    with pytest.raises(psycopg.errors.CheckViolation, match="archives_path"):
        login.execute("SELECT ops.record_archives(%s)", [json.dumps([file | {field: path}])])


def test_a_detached_partition_is_recorded_from_the_catalog(connection: Connection, login: Connection) -> None:
    connection.execute(
        "CREATE TABLE users (id int);"
        "CREATE TABLE visits (at timestamptz) PARTITION BY RANGE (at);"
        "CREATE TABLE visits_1 PARTITION OF visits"
        "  FOR VALUES FROM ('2026-03-01') TO ('2026-03-02 05:30+05:30')"
    )
    (partition,) = existing(connection, named(connection, "visits"))

    login.execute("SET timezone = 'Asia/Kathmandu'; SET datestyle = 'German'")
    login.execute("SELECT ops.record_detaching('users'::regclass), ops.record_detaching(%s)", [partition.oid])

    noted = "SELECT partition, schema, name, lower, upper, bounds, parent FROM ops.detached_partitions"
    assert row(connection, noted) == (*partition.identity.values(),)
    assert scalar(connection, "SELECT count(*) FROM ops.detached_partitions") == 1


def test_the_tracking_function_reads_only_the_transition_table(
    connection: Connection, login: Connection
) -> None:
    login.execute(TEMPORARY)

    with pytest.raises(psycopg.errors.InvalidObjectDefinition, match="no transition table"):
        login.execute("DELETE FROM parents")

    assert scalar(connection, "SELECT to_regclass('ops.owned')") is None


def test_no_role_can_drop_anothers_staging_table(connection: Connection, login: Connection) -> None:
    connection.execute("SELECT ops.create_staging('restoring_000000000000', '{a}', '{text}')")
    login.execute("SELECT ops.create_staging('restoring_111111111111', '{a}', '{text}')")

    with pytest.raises(psycopg.errors.InvalidParameterValue, match="not a staging table of login_"):
        login.execute("SELECT ops.drop_staging('restoring_000000000000')")
    login.execute("SELECT ops.drop_staging('restoring_111111111111')")
    connection.execute("SELECT ops.drop_staging('restoring_000000000000')")


def test_a_last_use_of_infinity_is_refused(connection: Connection) -> None:
    connection.execute(
        "INSERT INTO ops.api_keys (name, key_hash, scopes) VALUES ('a', sha256('a'), '{admin}')"
    )
    with pytest.raises(psycopg.errors.CheckViolation, match="api_keys_last_used_at"):
        connection.execute("UPDATE ops.api_keys SET last_used_at = 'infinity'")

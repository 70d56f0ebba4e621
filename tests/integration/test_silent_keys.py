"""Foreign keys that exist but do not fire: no row is deleted that others would still refer to."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from psycopg.conninfo import make_conninfo

from ops_pipeline.archive.archive import Archive
from ops_pipeline.archive.restore import restore
from ops_pipeline.maintenance.kinds import carry_out, plan
from ops_pipeline.maintenance.plan import DeletePlan
from ops_pipeline.maintenance.result import RefusedError
from ops_pipeline.policies.model import Database
from ops_pipeline.postgres.connection import Connection, DatabaseRefusedError, connect, scalar
from ops_pipeline.settings import Settings
from ops_pipeline.storage import location

Read = Callable[[str], Database]

SCHEMA = """
CREATE TABLE visits (id int, at timestamptz NOT NULL, PRIMARY KEY (id)){partitioned};
CREATE TABLE memories (id int PRIMARY KEY, visit int REFERENCES visits ON DELETE {action});
CREATE INDEX ON memories (visit);
INSERT INTO visits SELECT n, now() - make_interval(days => n) FROM generate_series(1, 60) AS n;
INSERT INTO memories SELECT n, n FROM generate_series(1, 60) AS n;
"""
PARTITIONED = """ PARTITION BY RANGE (id);
CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM (0) TO (30);
CREATE TABLE visits_2 PARTITION OF visits DEFAULT"""
POLICIES = """
version: 1
databases:
  app:
    url: x
    guard: {max_fraction: 1}
    retention: [{table: visits, column: at, keep: 30 days}]
"""
DANGLING = "SELECT count(*) FROM memories WHERE visit NOT IN (SELECT id FROM visits)"


def fill(connection: Connection, action: str, partitioned: str = "") -> None:
    connection.execute(SCHEMA.format(partitioned=partitioned, action=action).encode())


def planned(connection: Connection, database: Database) -> DeletePlan:
    (made,) = plan(connection, database.policies)
    assert isinstance(made, DeletePlan), made
    return made


@pytest.mark.parametrize("partitioned", ["", PARTITIONED])
@pytest.mark.parametrize("action", ["CASCADE", "SET NULL", "NO ACTION"])
@pytest.mark.parametrize("how", ["DISABLE", "ENABLE REPLICA"])
def test_a_key_whose_trigger_does_not_fire_is_refused_until_it_does(
    connection: Connection, read: Read, partitioned: str, action: str, how: str
) -> None:
    fill(connection, action, partitioned)
    silenced = "visits_2" if partitioned else "visits"
    names = connection.execute(
        "SELECT tgname FROM pg_trigger WHERE tgrelid = %s::regclass AND tgisinternal", [silenced]
    ).fetchall()
    for (name,) in names:
        connection.execute(f'ALTER TABLE {silenced} {how} TRIGGER "{name}"'.encode())
    database = read(POLICIES)

    refusals = planned(connection, database).refusals
    with pytest.raises(RefusedError, match="its trigger is disabled"):
        carry_out(connection, database.policies[0])
    assert scalar(connection, "SELECT count(*) FROM visits") == 60

    for refusal in refusals:
        (statement,) = re.findall(r"ALTER TABLE .*", refusal)
        connection.execute(statement.encode())
    assert planned(connection, database).refusals == ()
    assert carry_out(connection, database.policies[0]).outcome == "done"
    assert scalar(connection, DANGLING) == 0


def test_a_foreign_key_to_a_cascaded_table_is_checked_too(connection: Connection, read: Read) -> None:
    fill(connection, "CASCADE")
    connection.execute(
        "CREATE TABLE words (memory int REFERENCES memories ON DELETE CASCADE);"
        "ALTER TABLE memories DISABLE TRIGGER ALL"
    )

    (refusal,) = planned(connection, read(POLICIES)).refusals

    assert "the foreign key words_memory_fkey is not enforced when rows of public.memories are" in refusal


@pytest.mark.parametrize("action", ["CASCADE", "SET NULL"])
def test_foreign_keys_act_whatever_session_replication_role_is(
    connection: Connection, url: str, read: Read, action: str
) -> None:
    fill(connection, action)
    as_replica = make_conninfo(url, options="-c session_replication_role=replica")

    with connect(as_replica, "test") as session:
        result = carry_out(session, read(POLICIES).policies[0])

    assert result.removed == 31
    assert scalar(connection, DANGLING) == 0
    assert [row["table"] for row in result.cascaded] == ["public.memories"]


def test_a_session_that_can_only_run_as_replica_is_refused(connection: Connection, url: str) -> None:
    connection.execute("CREATE ROLE meek LOGIN PASSWORD 'x'")
    try:
        connection.execute("ALTER ROLE meek SET session_replication_role = 'replica'")
        with (
            pytest.raises(
                DatabaseRefusedError,
                match=r'ALTER ROLE "meek" RESET .+; or ALTER DATABASE "\w+" RESET session_replication_role;$',
            ),
            connect(make_conninfo(url, user="meek", password="x"), "test"),
        ):
            pass
    finally:
        connection.execute("DROP ROLE meek")


def test_set_null_of_some_columns_concerns_only_these_columns(connection: Connection, read: Read) -> None:
    connection.execute(
        "CREATE TABLE visits (tenant int, id int, at timestamptz NOT NULL, PRIMARY KEY (tenant, id));"
        "CREATE TABLE posts (tenant int NOT NULL, author int, id int PRIMARY KEY,"
        "  FOREIGN KEY (tenant, author) REFERENCES visits ON DELETE SET NULL (author));"
        "CREATE INDEX ON posts (tenant, author);"
        "INSERT INTO visits SELECT 1, n, now() - make_interval(days => n) FROM generate_series(1, 60) AS n;"
        "INSERT INTO posts SELECT 1, n, n FROM generate_series(1, 60) AS n"
    )
    database = read(POLICIES)

    assert planned(connection, database).refusals == ()
    assert carry_out(connection, database.policies[0]).removed == 31
    assert scalar(connection, "SELECT count(*) FROM posts WHERE (author IS NULL) = (id >= 30)") == 60


def test_settings_in_force_at_connect_do_not_matter(
    connection: Connection, url: str, read: Read, tmp_path: Path
) -> None:
    fill(connection, "CASCADE")
    settings = Settings(archive_url=str(tmp_path))
    policies = read(POLICIES.replace("30 days", "30 days, archive: true, cascade: archive")).policies
    given = "-c quote_all_identifiers=on -c statement_timeout=60s"

    with connect(make_conninfo(url, options=given), "test") as session:
        result = carry_out(session, policies[0], settings=settings)
        archive = Archive(location.storage(str(tmp_path)), session)
        restored = restore(session, archive, "memories", first=None, last=None, into="again", by="ada")

    assert (result.outcome, result.removed, result.archived) == ("done", 31, 62)
    assert restored.rows == 31

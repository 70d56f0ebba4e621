"""Creates a table of visits over 60 days, 30 of them expired, ordered by time or shuffled."""

from typing import Literal

from psycopg import sql as compose

from benchmarks import background_load
from ops_pipeline.postgres import embedded
from ops_pipeline.postgres.connection import connect
from ops_pipeline.postgres.migrations import migrate

Order = Literal["ordered", "shuffled", "days", "partman"]
"""The layout of the rows: ordered by time, shuffled, in daily partitions, or in pg_partman's partitions."""

TABLE = "CREATE TABLE visits (id bigint NOT NULL, user_id uuid, at timestamptz NOT NULL, page text)"
FILL = """
INSERT INTO visits
SELECT n, gen_random_uuid(), date_trunc('day', now()) - interval '60 days' * (1 - (n - 1)::float8 / %(rows)s),
       'https://example.org/' || repeat('x', 60)
FROM (SELECT n FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS n ORDER BY {order}) AS numbered
"""
PARTITIONS = """
DO $$
BEGIN
  FOR day IN 0..60 LOOP
    EXECUTE format('CREATE TABLE visits_%s PARTITION OF visits FOR VALUES FROM (%L) TO (%L)', 60 - day,
                   date_trunc('day', now()) - make_interval(days => 60 - day),
                   date_trunc('day', now()) - make_interval(days => 59 - day));
  END LOOP;
END $$
"""
PARTMAN = """
CREATE SCHEMA partman;
CREATE EXTENSION pg_partman SCHEMA partman;
SELECT partman.create_parent('public.visits', 'at', 'native', 'daily', p_premake := 1,
                             p_start_partition := (date_trunc('day', now()) - interval '60 days')::text);
UPDATE partman.part_config SET retention = '30 days', retention_keep_table = false
WHERE parent_table = 'public.visits'
"""
INDEXES = (
    "ALTER TABLE visits ADD PRIMARY KEY (id, at)",
    "CREATE INDEX ON visits (at)",
    "CREATE INDEX ON visits (user_id)",
)
AT_ONCE = 2_000_000


def template(server: embedded.Server, rows: int, order: Order) -> str:
    """The name of a database with that many visits, copied for each contender; filled once a day."""
    name, unfinished = f"visits_{order}_{rows}", f"filling_visits_{order}"
    with connect(server.url("app"), "bench") as connection:
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
            return name
        old, new = compose.Identifier(unfinished), compose.Identifier(name)
        connection.execute(compose.SQL("DROP DATABASE IF EXISTS {}").format(old))
        connection.execute(compose.SQL("CREATE DATABASE {}").format(old))
        fill(server.url(unfinished), rows, order)
        connection.execute(compose.SQL("ALTER DATABASE {} RENAME TO {}").format(old, new))
    return name


def fill(url: str, rows: int, order: Order) -> None:
    """Migrates the database and fills in the visits and the accounts of the background load."""
    migrate(url)
    background_load.prepare(url)
    with connect(url, "bench") as connection:
        connection.execute(TABLE + (" PARTITION BY RANGE (at)" if order in {"days", "partman"} else ""))
        if order == "days":
            connection.execute(PARTITIONS)
        elif order == "partman":
            connection.execute(PARTMAN)
        by = compose.SQL("random()" if order == "shuffled" else "n")
        # Shuffled as a whole, because parts would still be in order.
        at_once = rows if order == "shuffled" else AT_ONCE
        for first in range(1, rows + 1, at_once):
            values = {"rows": rows, "first": first, "last": min(rows, first + at_once - 1)}
            connection.execute(compose.SQL(FILL).format(order=by), values)
        for index in INDEXES:
            connection.execute(index)
        connection.execute("VACUUM ANALYZE visits")

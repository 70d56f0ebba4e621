"""Fills a database with events over 120 days, for the benchmarks of queries."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from psycopg import sql as compose

from ops_pipeline.partitions.premake import premake_days
from ops_pipeline.postgres import embedded
from ops_pipeline.postgres.connection import connect, scalar
from ops_pipeline.postgres.migrations import migrate
from tests.named import named

FILL = Path(__file__).with_name("fill.sql")
DAYS = 120
AT_ONCE = 500_000
INDEXES = """
SELECT relname, replace(pg_get_indexdef(indexrelid), ' ON ONLY ', ' ON ') FROM pg_index
JOIN pg_class ON pg_class.oid = indexrelid
WHERE indrelid = 'public.audit_logs'::regclass AND NOT indisprimary
"""


def filled(server: embedded.Server, rows: int) -> str:
    """The URL of a database with that many events; an existing one is used again.

    The API reads backwards from now, and the events end when they were inserted, so both must be on one day.
    """
    name, unfinished = f"rows_{rows}", f"filling_{rows}"
    with connect(server.url("app"), "bench") as connection:
        if scalar(connection, "SELECT count(*) FROM pg_database WHERE datname = %s", [name]):
            return server.url(name)
        old, new = compose.Identifier(unfinished), compose.Identifier(name)
        connection.execute(compose.SQL("DROP DATABASE IF EXISTS {}").format(old))
        connection.execute(compose.SQL("CREATE DATABASE {}").format(old))
        _fill(server.url(unfinished), rows)
        connection.execute(compose.SQL("ALTER DATABASE {} RENAME TO {}").format(old, new))
    return server.url(name)


def _fill(url: str, rows: int) -> None:
    migrate(url)
    today = datetime.now(UTC).date()
    statement = compose.SQL(FILL.read_text())
    with connect(url, "bench") as connection:
        first, last = today - timedelta(days=DAYS + 1), today + timedelta(days=14)
        premake_days(connection, named(connection, "public.audit_logs"), first, last)
        # Indexes are built afterwards, and arrivals are not recorded.
        indexes = connection.execute(INDEXES).fetchall()
        for name, _ in indexes:
            connection.execute(compose.SQL("DROP INDEX public.{}").format(compose.Identifier(name)))
        connection.execute("ALTER TABLE public.audit_logs DROP CONSTRAINT audit_logs_pkey")
        connection.execute("SET session_replication_role = replica")
        for begin in range(1, rows + 1, AT_ONCE):
            end = min(rows, begin + AT_ONCE - 1)
            connection.execute(statement, {"rows": rows, "first": begin, "last": end})
            _say(f"{end:,} of {rows:,} events")
        connection.execute("ALTER TABLE public.audit_logs ADD PRIMARY KEY (created_at, id)")
        for name, definition in indexes:
            connection.execute(definition)
            _say(f"built {name}")
        connection.execute("VACUUM ANALYZE public.audit_logs")
        connection.execute("CHECKPOINT")


def _say(what: str) -> None:
    sys.stderr.write(f"{datetime.now(UTC):%H:%M:%S} {what}\n")

"""Checks a vacuum policy against its database: named tables exist, options fit the server's version."""

from ops_pipeline.maintenance.file_check import FileCheck
from ops_pipeline.maintenance.vacuum.policy import Vacuum
from ops_pipeline.postgres import catalog
from ops_pipeline.postgres.connection import Connection


def problems(connection: Connection, policy: Vacuum) -> list[str]:
    """One line for each thing to fix in the file. Raises psycopg.Error."""
    check = FileCheck(connection, policy.place)
    for index, table in enumerate(policy.tables if policy.tables != "all" else ()):
        check.table(table, index, place=policy.place / "tables")
    version = connection.info.server_version
    if policy.buffer_usage_limit is not None and version < catalog.BUFFER_USAGE_LIMIT_SINCE:
        check.problem(
            "buffer_usage_limit",
            f"requires PostgreSQL 16, but this server is version {version // 10_000}; remove this key",
        )
    return check.problems

"""What of a vacuum policy does not fit its database."""

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
            f"PostgreSQL 16 brought it, and this server is {version // 10_000}; leave this key out",
        )
    return check.problems

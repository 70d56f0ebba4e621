"""Checks a retention policy against the table and columns it names."""

from ops_pipeline.maintenance.file_check import FileCheck
from ops_pipeline.maintenance.retention.policy import Retention
from ops_pipeline.opsctl import opsctl
from ops_pipeline.partitions.partition import partition_key
from ops_pipeline.postgres import catalog
from ops_pipeline.postgres.connection import Connection


def problems(connection: Connection, policy: Retention) -> list[str]:
    """One line for each thing to fix in the file. Raises psycopg.Error."""
    check = FileCheck(connection, policy.place)
    table = check.table(policy.table, "table")
    if table is None:
        return check.problems
    column_type = check.column_type(table, policy.column, "column")
    if column_type is not None and policy.column not in catalog.times(connection, table):
        check.problem("column", f"{policy.column} is {column_type}; it must be a timestamp or date column")
    if policy.partition is not None and partition_key(connection, table) != policy.column:
        adopt = opsctl("adopt", policy.table.qualified, "--column", policy.column, database=policy.database)
        check.problem(
            "partition",
            f"{table} is not partitioned by range of {policy.column}; remove this key, or partition the "
            f"table by day: {adopt}",
        )
    return check.problems

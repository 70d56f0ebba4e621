"""Checks an orphans policy against the tables and columns it names."""

from psycopg import sql as compose

from ops_pipeline.maintenance.file_check import FileCheck
from ops_pipeline.maintenance.orphans.policy import Orphans
from ops_pipeline.postgres import catalog
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.equality import key_equalities
from ops_pipeline.postgres.relation import Relation
from ops_pipeline.postgres.spelling import spelled

SMALL_PARENT_BYTES = 8 * 1024 * 1024
"""A parent up to this size is hashed quickly for each batch, so it needs no index."""


def problems(connection: Connection, policy: Orphans) -> list[str]:
    """One line for each thing to fix, in the file or in the database. Raises psycopg.Error."""
    check = FileCheck(connection, policy.place)
    child = check.table(policy.table, "table")
    parent = check.table(policy.parent, "references")
    if child is None or parent is None:
        return check.problems
    key = "column" if len(policy.columns) == 1 else "columns"
    for column, parent_column in zip(policy.columns, policy.parent_columns, strict=True):
        child_type = check.column_type(child, column, key)
        parent_type = check.column_type(parent, parent_column, "references")
        if child_type is None or parent_type is None:
            continue
        try:
            key_equalities(connection, child, [column], parent, [parent_column])[0].keys(compose.SQL("NULL"))
        except LookupError as error:
            check.problem(
                "references", f"{parent_column} is {parent_type}, and {column} is {child_type}: {error}"
            )
    if not check.problems:
        _require_index(connection, check, policy, parent)
    return check.problems


def _require_index(connection: Connection, check: FileCheck, policy: Orphans, parent: Relation) -> None:
    if catalog.index_on(connection, parent, policy.parent_columns) is not None:
        return
    if catalog.size(connection, parent) <= SMALL_PARENT_BYTES:
        return
    statement = compose.SQL("CREATE INDEX {}ON {} ({})").format(
        compose.SQL("" if catalog.is_partitioned(connection, parent) else "CONCURRENTLY "),
        parent.identifier,
        compose.SQL(", ").join(map(compose.Identifier, policy.parent_columns)),
    )
    check.problem(
        "references",
        f"no index of {parent} begins with {', '.join(policy.parent_columns)}, so each batch would read the "
        f"whole table. Create one first: {spelled(statement, connection)}",
    )

"""Deletes rows of a table into an archive, step by step, as the maintenance engine does."""

from collections.abc import Callable
from pathlib import Path

from psycopg import sql as compose

from ops_pipeline.archive import columns
from ops_pipeline.archive.archive import Archive
from ops_pipeline.archive.arrow_session import ArrowSession
from ops_pipeline.archive.files import ArchivedTable, WrittenFile
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.storage import location
from tests.named import named

POLICY = "app/retention/events"


def source(connection: Connection, table: str = "events", day_column: str | None = "at") -> ArchivedTable:
    """The description of the archived rows of that table."""
    relation = named(connection, table)
    return ArchivedTable(
        POLICY, 7, relation.schema, relation.name, columns.columns_of(connection, relation.oid), day_column,
        keys=columns.keys(connection, relation.oid),
    )  # fmt: skip


def deletion(given: ArchivedTable, condition: str = "true") -> compose.Composable:
    """The DELETE … RETURNING of the rows that match the condition."""
    return compose.SQL("DELETE FROM {} AS target WHERE {} RETURNING {}").format(
        compose.Identifier(given.table_schema, given.table_name),
        compose.SQL(condition),
        columns.select_list(given.columns, "target"),
    )


def remove(
    url: str,
    connection: Connection,
    folder: Path | str,
    *,
    table: str = "events",
    day_column: str | None = "at",
    condition: str = "true",
    step: Callable[[str], None] = lambda _: None,
) -> list[WrittenFile]:
    """Deletes and archives; `step` is called with the name of each completed step."""
    given = source(connection, table, day_column)
    archive = Archive(location.storage(str(folder)), connection)
    with ArrowSession(url, POLICY, "test worker") as worker:
        step("locked")
        archive.reconcile(connection, POLICY, given.table_schema, given.table_name)
        step("reconciled")
        with worker.transaction():
            with worker.query(deletion(given, condition)) as reader:
                parts = archive.write(reader, given)
            step("written")
            worker.execute(archive.insert_statement(parts))
            step("noted")
        step("committed")
        archive.publish(connection, parts)
        step("published")
    return parts

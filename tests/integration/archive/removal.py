"""Removes rows of a table into an archive, step by step, as the maintenance engine does."""

from collections.abc import Callable
from pathlib import Path

from psycopg import sql as compose

from ops_pipeline.database import Connection
from ops_pipeline.maintenance import catalog
from ops_pipeline.maintenance.archive import columns, location
from ops_pipeline.maintenance.archive.archive import Archive
from ops_pipeline.maintenance.archive.part import Part, Source
from ops_pipeline.maintenance.archive.worker import Worker

POLICY = "app/retention/events"


def source(connection: Connection, table: str = "events", day_column: str | None = "at") -> Source:
    """What is archived: rows of that table."""
    relation = catalog.relation(connection, table)
    return Source(POLICY, 7, relation.schema, relation.name, columns.of(connection, relation.oid), day_column)


def deletion(given: Source, condition: str = "true") -> compose.Composable:
    """The DELETE of the rows that the condition takes, answering with them."""
    return compose.SQL("DELETE FROM {} AS doomed WHERE {} RETURNING {}").format(
        compose.Identifier(given.table_schema, given.table_name),
        compose.SQL(condition),
        columns.select_list(given.columns, "doomed"),
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
) -> list[Part]:
    """Deletes and archives; `step` is told what has just been done."""
    given = source(connection, table, day_column)
    archive = Archive(location.storage(str(folder)), connection)
    with Worker(url, POLICY, "test worker") as worker:
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

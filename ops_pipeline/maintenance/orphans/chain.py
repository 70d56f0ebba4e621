"""Orphans of orphans: in a table that refers to itself, deleting orphans makes their children orphans."""

from datetime import datetime

from psycopg import sql as compose

import sql
from ops_pipeline.holds import holds
from ops_pipeline.maintenance import references
from ops_pipeline.maintenance.batches.scans import and_, listed
from ops_pipeline.maintenance.orphans.reference import Reference
from ops_pipeline.maintenance.plan import is_migrated
from ops_pipeline.postgres.connection import Connection


def with_descendants(
    connection: Connection, reference: Reference, orphaned: compose.Composable, which: compose.Composable
) -> compose.Composable:
    """The rows for which `orphaned` is true and, at every level, those that deleting them makes orphans.

    Of the latter only rows that meet `which` count. A row that a hold or a foreign key keeps also keeps the
    rows that refer to it. All are conditions over the alias `target`. Raises HoldUnclearError.
    """
    if not reference.refers_to_itself:
        return orphaned
    held = holds.active(connection, reference.child) if is_migrated(connection) else ()
    deleted = and_(holds.exclusion(held), references.unreferenced(connection, reference.child))
    return compose.SQL(sql.get("maintenance/orphans/chain")).format(
        table=reference.child.identifier,
        orphaned=orphaned,
        which=which,
        deleted=deleted,
        keys=listed(reference.keys),
        keys_of_parent=listed(reference.of_parent("target")),
        same_key=reference.refers_to_row(reference.keys_over("parent")),
    )


def list_descendants(
    connection: Connection,
    reference: Reference,
    orphaned: compose.Composable,
    which: compose.Composable,
    since: datetime,
) -> None:
    """Lists the parents that will be missing once the orphans are deleted, at every level.

    They are listed as missing since `since`, because the grace period of the first orphans is over.
    """
    if not reference.refers_to_itself:
        return
    chain = with_descendants(connection, reference, orphaned, which)
    statement = compose.SQL(sql.get("maintenance/orphans/list_descendants")).format(
        gathered=reference.gathered_once,
        keys_of_row=reference.keys_of_row,
        child=reference.child.identifier,
        descendants=and_(chain, reference.refers, compose.SQL("NOT ({})").format(reference.missing)),
    )
    connection.execute(statement, {"policy": reference.policy, "since": since})

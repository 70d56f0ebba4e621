"""Rows that refer to a row which does not exist, where no foreign key says so."""

from psycopg import sql as compose

import sql
from ops_pipeline import policy
from ops_pipeline.database import Connection, scalar
from ops_pipeline.maintenance import catalog
from ops_pipeline.maintenance.pace import Pace
from ops_pipeline.maintenance.removal.deleting import Deleting
from ops_pipeline.maintenance.result import Work
from ops_pipeline.maintenance.sweep import Run, Sweep
from ops_pipeline.maintenance.windows import doomed
from ops_pipeline.maintenance.windows.keys import KeyWindows
from ops_pipeline.settings import Settings


def remove_orphans(run: Run, rule: policy.Orphans, settings: Settings) -> Work:
    """Removes the children whose parent does not exist. A NULL reference makes no orphan."""
    connection = run.connection
    child = catalog.relation(connection, rule.table)
    dead_before = catalog.dead_tuples(connection, child)
    walk = KeyWindows(
        connection,
        child,
        catalog.primary_key(connection, child),
        walked=compose.SQL("true"),
        predicate=orphaned(connection, rule),
    )
    sweep = Sweep(
        run, walk, Deleting(connection, run.record, child), Pace(walk.sizes, settings.batch_target_seconds)
    )
    stopped_reason = sweep.work_through()
    return Work(
        stopped_reason,
        left(connection, rule),
        dead_tuples_before=dead_before,
        dead_tuples_after=catalog.dead_tuples(connection, child),
    )


def orphaned(connection: Connection, rule: policy.Orphans) -> compose.Composed:
    """The children whose parent does not exist, as a condition over the alias `doomed`."""
    fragments = names(connection, rule) | {"reference": doomed(rule.column)}
    return compose.SQL(sql.get("orphans/orphaned")).format(**fragments)


def left(connection: Connection, rule: policy.Orphans) -> int:
    """How many children have no parent."""
    statement = compose.SQL(sql.get("orphans/left")).format(**names(connection, rule))
    return int(scalar(connection, statement))


def names(connection: Connection, rule: policy.Orphans) -> dict[str, compose.Composable]:
    """The names in the rule as the statements take them."""
    return {
        "child": catalog.relation(connection, rule.table).identifier,
        "reference": compose.Identifier(rule.column),
        "parent": catalog.relation(connection, rule.parent).identifier,
        "parent_column": compose.Identifier(rule.parent_column),
    }

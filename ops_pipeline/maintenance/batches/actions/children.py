"""`cascade: archive`: archives and deletes the referring rows before ON DELETE CASCADE would delete them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from psycopg import sql as compose

import sql
from ops_pipeline.archive import columns
from ops_pipeline.archive.files import ArchivedTable
from ops_pipeline.maintenance.batches.scans import ScanRange
from ops_pipeline.maintenance.reach import REACHED, Reach, Target, reach, root
from ops_pipeline.policies.model import DeletingPolicy
from ops_pipeline.postgres import catalog
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.relation import Relation, find_relation


@dataclass(frozen=True, slots=True)
class Child:
    """A table whose rows are archived as `source` and deleted together with the rows they refer to.

    `root`: the oid of the root of its partition tree. `rows`: its rows, as an item of FROM.
    """

    table: Relation
    root: int
    rows: compose.Composable
    source: ArchivedTable
    reach: Reach

    def deleting(self, target: Target) -> compose.Composed:
        """Deletes the rows that the target's deletion reaches, and returns them for the archive."""
        return compose.SQL(sql.get("maintenance/batches/actions/delete_child")).format(
            rows=self.rows,
            alias=compose.Identifier(REACHED),
            condition=self.reach.deleted(self.table, target),
            columns=columns.select_list(self.source.columns, REACHED),
        )


def children(
    connection: Connection, policy: DeletingPolicy, table: Relation, run_id: int
) -> tuple[Child, ...]:
    """The tables into which deletes from the table cascade, each before those it refers to.

    A row is filed under the day of the column by which its own retention policy tells its age, or else the
    day it is deleted. Raises psycopg.Error.
    """
    reached = reach(connection, table)
    days = _time_columns(connection, policy)
    return tuple(
        Child(
            child,
            of := root(connection, child),
            _rows(connection, child),
            ArchivedTable(
                policy.name, run_id, child.schema, child.name,
                columns.columns_of(connection, child.oid),
                day_column=days.get(of),
                keys=columns.keys(connection, child.oid),
            ),
            reached,
        )
        for child in reached.children_first()
    )  # fmt: skip


def locking(scan_range: ScanRange, condition: compose.Composable, *, skip_locked: bool) -> compose.Composed:
    """Locks the rows to be deleted, so that no new row can refer to them, and returns their ctids (NULL
    where no row matches) and their number."""
    return compose.SQL(sql.get("maintenance/batches/actions/lock")).format(
        heap=scan_range.heap.identifier,
        condition=condition,
        skip_locked=compose.SQL("SKIP LOCKED" if skip_locked else ""),
    )


def at(heap: Relation, places: str) -> compose.Composed:
    """SQL that is true for the rows (alias `target`) that `locking` returned, and no other."""
    return compose.SQL("target.tableoid = {} AND target.ctid = ANY ({}::tid[])").format(
        compose.Literal(heap.oid), compose.Literal(places)
    )


def _rows(connection: Connection, table: Relation) -> compose.Composable:
    # As ON DELETE CASCADE does: without the tables that inherit from it.
    only = compose.SQL("" if catalog.is_partitioned(connection, table) else "ONLY ")
    return compose.SQL("{}{}").format(only, table.identifier)


def _time_columns(connection: Connection, policy: DeletingPolicy) -> Mapping[int, str]:
    """By the oid of a table's root: the time column by whose day its own policy archives."""
    found: dict[int, str] = {}
    for other in _deleting(policy):
        column = other.time_column()
        if column is None:
            continue
        try:
            table = find_relation(connection, other.table)
        except LookupError:
            continue  # that policy reports it
        found.setdefault(root(connection, table), column)
    return found


def _deleting(policy: DeletingPolicy) -> Sequence[DeletingPolicy]:
    return [other for other in policy.deleting if other.name != policy.name]

"""Rows that refer to a row which does not exist, where no foreign key says so."""

from psycopg import sql as compose

import sql
from ops_pipeline import policy
from ops_pipeline.database import Connection, row, scalar
from ops_pipeline.maintenance import catalog
from ops_pipeline.maintenance.history import Record
from ops_pipeline.maintenance.result import Work
from ops_pipeline.maintenance.sweep import Batch, Position, Report, Sizes, Stop, work_through


def remove_orphans(
    connection: Connection, rule: policy.Orphans, record: Record, *, stop: Stop, report: Report
) -> Work:
    """Removes the children whose parent does not exist. A NULL reference makes no orphan."""
    child = catalog.relation(connection, rule.table)
    dead_before = catalog.dead_tuples(connection, child)
    sweep = OrphanedRows(connection, rule)
    stopped_reason = work_through(connection, sweep, record, stop=stop, report=report)
    return Work(
        stopped_reason,
        left(connection, rule),
        dead_tuples_before=dead_before,
        dead_tuples_after=catalog.dead_tuples(connection, child),
    )


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


class OrphanedRows:
    """Walks the child table in the order of its primary key. A position is a key, each part as text."""

    sizes = Sizes(first=2_000, least=100, most=100_000)  # rows

    def __init__(self, connection: Connection, rule: policy.Orphans) -> None:
        self._connection = connection
        self._key = catalog.primary_key(connection, catalog.relation(connection, rule.table))
        self._names = names(connection, rule)

    def batch(self, after: Position | None, until: Position | None, size: int, *, skip_locked: bool) -> Batch:
        examined, last = row(
            self._connection,
            self._statement("orphans/window", self._bounds(after, until)),
            {"size": size},
        )
        if last is None:
            return Batch(0, 0, None)
        name = "orphans/delete_window_unlocked" if skip_locked else "orphans/delete_window"
        window = self._statement(name, self._bounds(after, last))
        return Batch(examined, self._connection.execute(window).rowcount, last)

    def _statement(self, name: str, bounds: compose.Composable) -> compose.Composed:
        return compose.SQL(sql.get(name)).format(
            **self._names,
            bounds=bounds,
            keys=_listed(self._key),
            key_texts=compose.SQL(", ").join(
                compose.SQL("{}::text").format(compose.Identifier(part)) for part in self._key
            ),
            child_keys=_listed(self._key, "child"),
            free_keys=_listed(self._key, "free"),
        )

    def _bounds(self, after: Position | None, until: Position | None) -> compose.Composable:
        bounds = [
            compose.SQL("({}) {} ({})").format(
                _listed(self._key), comparison, compose.SQL(", ").join(map(compose.Literal, key))
            )
            for comparison, key in ((compose.SQL(">"), after), (compose.SQL("<="), until))
            if key is not None
        ]
        return compose.SQL(" AND ").join(bounds) if bounds else compose.SQL("true")


def _listed(columns: tuple[str, ...], table: str | None = None) -> compose.Composed:
    prefix = () if table is None else (table,)
    return compose.SQL(", ").join(compose.Identifier(*prefix, column) for column in columns)

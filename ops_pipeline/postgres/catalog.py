"""Queries the catalog and statistics about a table: columns, indexes, partitions, sizes, row counts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg import sql as compose

import sql
from ops_pipeline.postgres.connection import Connection, row, scalar
from ops_pipeline.postgres.relation import Relation

BUFFER_USAGE_LIMIT_SINCE = 160000
"""The first server_version_num that supports VACUUM (BUFFER_USAGE_LIMIT)."""


TIME_TYPES = ("timestamp with time zone", "timestamp without time zone", "date")


@dataclass(frozen=True, slots=True)
class Heap:
    """The storage of a table or a leaf partition. `lower`: no row in it is older than that."""

    relation: Relation
    blocks: int
    lower: datetime | None


def primary_key(connection: Connection, table: Relation) -> tuple[str, ...]:
    """The columns of the table's primary key; empty when it has none."""
    rows = connection.execute(sql.get("postgres/primary_key"), {"oid": table.oid})
    return tuple(name for (name,) in rows)


def columns(connection: Connection, table: Relation) -> dict[str, str]:
    """The table's columns in order, each with its type."""
    return dict(connection.execute(sql.get("postgres/columns"), {"oid": table.oid}).fetchall())


def times(connection: Connection, table: Relation) -> set[str]:
    """The table's columns of a time or date type, or of a domain over one."""
    types = connection.execute(sql.get("postgres/base_types"), {"oid": table.oid})
    return {column for column, of_type in types if of_type in TIME_TYPES}


def dates(connection: Connection, table: Relation) -> set[str]:
    """The table's columns of the type date, or of a domain over it."""
    types = connection.execute(sql.get("postgres/base_types"), {"oid": table.oid})
    return {column for column, of_type in types if of_type == "date"}


def required_columns(connection: Connection, table: Relation, columns: Sequence[str]) -> list[str]:
    """Those of the columns that are NOT NULL."""
    values = {"oid": table.oid, "columns": list(columns)}
    return [name for (name,) in connection.execute(sql.get("postgres/required_columns"), values)]


def index_on(connection: Connection, table: Relation, columns: Sequence[str]) -> tuple[str, ...] | None:
    """The columns in the order of a valid, non-partial B-tree index that begins with them; None: no such
    index."""
    values = {"oid": table.oid, "columns": list(columns)}
    index = connection.execute(sql.get("postgres/index_on"), values).fetchone()
    return None if index is None else tuple(index[0])


def is_partitioned(connection: Connection, table: Relation) -> bool:
    """Whether the table is partitioned."""
    return bool(scalar(connection, sql.get("postgres/is_partitioned"), {"oid": table.oid}))


def foreign_partitions(connection: Connection, table: Relation) -> list[Relation]:
    """The partitions that are foreign tables, whose rows policies do not touch."""
    return [leaf for leaf, is_foreign in _leaf_tables(connection, table) if is_foreign]


def local_rows(
    connection: Connection, table: Relation, sample: compose.Composable | None = None
) -> compose.Composable:
    """The FROM item for the table's rows under the alias `target`, without those of foreign partitions.

    Without foreign partitions it is the table itself. `sample`: a TABLESAMPLE clause.
    """
    clause = compose.SQL(" {}").format(sample) if sample else compose.SQL("")
    leaves = _leaf_tables(connection, table)
    if not any(is_foreign for _, is_foreign in leaves):
        return compose.SQL("{} AS target{}").format(table.identifier, clause)
    names = [compose.Identifier(name) for name in columns(connection, table)]
    listed = compose.SQL(", ").join([compose.SQL("tableoid"), compose.SQL("ctid"), *names])
    # With a predicate on tableoid, PostgreSQL would still scan the foreign partitions.
    parts = [compose.SQL("SELECT {} FROM {} WHERE false").format(listed, table.identifier)]
    parts += [
        compose.SQL("SELECT {} FROM {}{}").format(listed, leaf.identifier, clause)
        for leaf, is_foreign in leaves
        if not is_foreign
    ]
    return compose.SQL("({}) AS target").format(compose.SQL(" UNION ALL ").join(parts))


def _leaf_tables(connection: Connection, table: Relation) -> list[tuple[Relation, bool]]:
    rows = connection.execute(sql.get("postgres/leaf_tables"), {"oid": table.oid})
    return [(Relation(oid, schema, name), is_foreign) for oid, schema, name, is_foreign in rows]


def inheritance_children(connection: Connection, table: Relation) -> list[tuple[Relation, Relation]]:
    """The tables that inherit from it, directly or indirectly, each with its parent; not partitions."""
    rows = connection.execute(sql.get("postgres/inheritance_children"), {"oid": table.oid})
    return [(Relation(*row[:3]), Relation(*row[3:])) for row in rows]


def size(connection: Connection, table: Relation) -> int:
    """The table's size in bytes, without indexes."""
    return int(scalar(connection, sql.get("postgres/size"), {"oid": table.oid}))


def total_size(connection: Connection, table: Relation) -> int:
    """The table's size in bytes, with partitions, indexes and TOAST."""
    return int(scalar(connection, sql.get("postgres/total_size"), {"oid": table.oid}))


def heaps(connection: Connection, table: Relation, column: str) -> list[Heap]:
    """The tables that store the table's rows, in the order of their names."""
    rows = connection.execute(sql.get("postgres/leaves"), {"oid": table.oid, "column": column})
    return [Heap(Relation(oid, schema, name), blocks, lower) for oid, schema, name, blocks, lower in rows]


def dead_tuples(connection: Connection, table: Relation) -> int:
    """Dead row versions not yet removed by VACUUM, including those of this session's last statements."""
    return _tuples(connection, table)[0]


def expected_rows(connection: Connection, table: Relation) -> int:
    """The planner's estimate of the table's rows, from statistics and size."""
    statement = compose.SQL(sql.get("postgres/expected_rows")).format(table=table.identifier)
    (plan,) = scalar(connection, statement)
    return int(plan["Plan"]["Plan Rows"])


def live_tuples(connection: Connection, table: Relation) -> int:
    """Live rows, from the statistics."""
    return _tuples(connection, table)[1]


def observed(connection: Connection, table: Relation) -> tuple[int, int, int]:
    """Live rows, dead rows and bytes of the table with all its partitions, from the statistics."""
    connection.execute(sql.get("postgres/flush_statistics"))
    live, dead, size = row(connection, sql.get("postgres/observed"), {"oid": table.oid})
    return live, dead, size


def _tuples(connection: Connection, table: Relation) -> tuple[int, int]:
    connection.execute(sql.get("postgres/flush_statistics"))
    dead, live = row(connection, sql.get("postgres/tuples"), {"oid": table.oid})
    return dead, live

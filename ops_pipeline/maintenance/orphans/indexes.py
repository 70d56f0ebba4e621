"""Finds missing indexes on the reference of an orphans policy, and the statements that create them."""

from collections.abc import Iterator

from psycopg import sql as compose

from ops_pipeline.finding import Finding
from ops_pipeline.maintenance.orphans.reference import Reference
from ops_pipeline.postgres import catalog
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.relation import Relation
from ops_pipeline.postgres.spelling import spelled


def missing_indexes(connection: Connection, reference: Reference) -> Iterator[Finding]:
    """The indexes that the reference lacks, and the statements that create them."""
    if not reference.child_indexable:
        yield Finding(
            str(reference.child),
            f"no index of {reference.child} can be used to compare {', '.join(reference.columns)} with "
            f"{', '.join(reference.parent_columns)} of {reference.parent}, so finding its orphans reads the "
            "whole table. Give the columns the same type and collation",
        )
    elif reference.child_index is None:
        yield _advice(
            connection, reference.child, reference.columns, "finding its orphans reads the whole table"
        )
    if reference.parent_index is None:
        yield _advice(
            connection, reference.parent, reference.parent_columns, "each batch reads the whole table"
        )


def _advice(connection: Connection, table: Relation, columns: tuple[str, ...], cost: str) -> Finding:
    key = compose.SQL(", ").join(map(compose.Identifier, columns))
    # CREATE INDEX CONCURRENTLY does not work on a partitioned table: index each partition concurrently first,
    # then the table, which attaches those indexes.
    partitioned = catalog.is_partitioned(connection, table)
    heaps = catalog.heaps(connection, table, columns[0]) if partitioned else []
    statements = [
        compose.SQL("CREATE INDEX CONCURRENTLY ON {} ({})").format(heap.relation.identifier, key)
        for heap in heaps
        if catalog.index_on(connection, heap.relation, columns) is None
    ]
    create = "CREATE INDEX ON {} ({})" if partitioned else "CREATE INDEX CONCURRENTLY ON {} ({})"
    statements.append(compose.SQL(create).format(table.identifier, key))
    made = " ".join(f"{spelled(statement, connection)};" for statement in statements)
    return Finding(str(table), f"no index of {table} begins with {', '.join(columns)}, so {cost}", (made,))

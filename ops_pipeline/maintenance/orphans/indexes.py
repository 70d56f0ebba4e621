"""The index on a child's reference: without it every deleted parent costs a look at the whole table."""

from collections.abc import Iterator

from psycopg import sql as compose

from ops_pipeline.finding import Finding
from ops_pipeline.maintenance.orphans.reference import Reference
from ops_pipeline.postgres import catalog
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.relation import Relation


def missing_indexes(connection: Connection, reference: Reference) -> Iterator[Finding]:
    """The indexes that the reference lacks, and the statements that would make them."""
    if not reference.child_indexable:
        yield Finding(
            str(reference.child),
            f"no index of {reference.child} finds {', '.join(reference.columns)} as it is compared with "
            f"{', '.join(reference.parent_columns)} of {reference.parent}, so its orphans are found by "
            "reading all of it; give the columns one type and collation",
        )
    elif reference.child_index is None:
        yield _advice(
            connection, reference.child, reference.columns, "its orphans are found by reading all of it"
        )
    if reference.parent_index is None:
        yield _advice(
            connection, reference.parent, reference.parent_columns, "all of it is read for each batch"
        )


def _advice(connection: Connection, table: Relation, columns: tuple[str, ...], cost: str) -> Finding:
    key = compose.SQL(", ").join(map(compose.Identifier, columns))
    # What is partitioned cannot be indexed beside the work; the index takes in what its partitions have.
    partitioned = catalog.is_partitioned(connection, table)
    heaps = catalog.heaps(connection, table, columns[0]) if partitioned else []
    statements = [
        compose.SQL("CREATE INDEX CONCURRENTLY ON {} ({})").format(heap.relation.identifier, key)
        for heap in heaps
        if catalog.index_on(connection, heap.relation, columns) is None
    ]
    create = "CREATE INDEX ON {} ({})" if partitioned else "CREATE INDEX CONCURRENTLY ON {} ({})"
    statements.append(compose.SQL(create).format(table.identifier, key))
    made = " ".join(f"{statement.as_string(connection)};" for statement in statements)
    return Finding(str(table), f"no index of {table} leads with {', '.join(columns)}, so {cost}", (made,))

"""The application's tables as Dagster source assets, with observations of their rows and sizes."""

from collections.abc import Iterable, Iterator

import dagster as dg

from ops_pipeline.maintenance.kinds import kind_of
from ops_pipeline.policies.identity import asset_key_part
from ops_pipeline.policies.model import Database
from ops_pipeline.postgres import catalog
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.relation import Relation, TableName, find_relation


def key(database: Database, table: TableName) -> dg.AssetKey:
    """`app/tables/app.public.sessions`: Dagster's graph shows the last part, where policies have the table's
    short name."""
    return dg.AssetKey([database.name, "tables", asset_key_part(_name(database, table))])


def _name(database: Database, table: TableName) -> str:
    """`app.public.sessions`; Dagster finds assets of one table by this name."""
    return f"{database.name}.{table.qualified}"


def table_assets(database: Database) -> list[dg.AssetSpec]:
    """A source node for every table that a policy of the database names."""
    tables = sorted({table for policy in database.policies for table in kind_of(policy).tables(policy)})
    return [
        dg.AssetSpec(
            key(database, table),
            group_name=database.name,
            kinds={"postgres", "table"},
            description=f"The application's table **{table}**. Its row count and size are recorded after "
            "each policy that names it.",
            metadata={"dagster/table_name": _name(database, table)},
        )
        for table in tables
    ]


def observe(
    connection: Connection, database: Database, tables: Iterable[TableName]
) -> Iterator[dg.AssetObservation]:
    """The current columns of each table, and its size from the server's statistics."""
    for table in tables:
        relation = find_relation(connection, table)
        rows, dead, size = catalog.observed(connection, relation)
        yield dg.AssetObservation(
            key(database, table),
            metadata={
                "dagster/row_count": rows,
                "dead_rows": dead,
                "bytes": size,
                "dagster/column_schema": _columns(connection, relation),
            },
        )


def _columns(connection: Connection, table: Relation) -> dg.TableSchema:
    columns = catalog.columns(connection, table)
    required = catalog.required_columns(connection, table, list(columns))
    key = catalog.primary_key(connection, table)
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name,
                type_name,
                constraints=dg.TableColumnConstraints(nullable=name not in required, unique=(name,) == key),
            )
            for name, type_name in columns.items()
        ]
    )

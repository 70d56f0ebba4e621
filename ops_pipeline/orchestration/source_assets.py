"""The application's tables as Dagster source assets, with observations of their rows and sizes."""

from collections.abc import Iterable, Iterator

import dagster as dg

from ops_pipeline.maintenance.kinds import kind_of
from ops_pipeline.policies.identity import asset_key_part
from ops_pipeline.policies.model import Database
from ops_pipeline.postgres import catalog
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.relation import TableName, find_relation


def key(database: Database, table: TableName) -> dg.AssetKey:
    """`app/tables/sessions`"""
    return dg.AssetKey([database.name, "tables", asset_key_part(str(table))])


def table_assets(database: Database) -> list[dg.AssetSpec]:
    """A source node for every table that a policy of the database names."""
    tables = sorted({table for policy in database.policies for table in kind_of(policy).tables(policy)})
    return [
        dg.AssetSpec(
            key(database, table),
            group_name=database.name,
            kinds={"postgres", "table"},
            owners=["team:application"],
            description=f"The application's table **{table}**. Its row count and size are recorded after "
            "each policy that names it.",
            metadata={"dagster/table_name": f"{database.name}.{table}"},
        )
        for table in tables
    ]


def observe(
    connection: Connection, database: Database, tables: Iterable[TableName]
) -> Iterator[dg.AssetObservation]:
    """The current size of each table, from the server's statistics."""
    for table in tables:
        rows, dead, size = catalog.observed(connection, find_relation(connection, table))
        yield dg.AssetObservation(
            key(database, table),
            metadata={
                "dagster/row_count": rows,
                "dead_rows": dead,
                "bytes": size,
            },
        )

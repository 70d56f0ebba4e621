"""The application's tables as Dagster sees them: where a night begins, with their rows and sizes."""

from collections.abc import Iterable, Iterator

import dagster as dg

from ops_pipeline import policy
from ops_pipeline.database import Connection
from ops_pipeline.maintenance import catalog


def key(database: policy.Database, table: str) -> dg.AssetKey:
    """`app/tables/sessions`"""
    return dg.AssetKey([database.name, "tables", table])


def of(database: policy.Database) -> list[dg.AssetSpec]:
    """A source node for every table that a policy of the database names."""
    named = sorted({table for rule in database.policies for table in named_by(rule)})
    return [
        dg.AssetSpec(
            key(database, table),
            group_name=database.name,
            kinds={"postgres", "table"},
            owners=["team:application"],
            description=f"The application's table **{table}**. Its rows and size are noted every night, when "
            "the policies that name it are done.",
            metadata={"dagster/table_name": f"{database.name}.{table}"},
        )
        for table in named
    ]


def named_by(rule: policy.Policy) -> tuple[str, ...]:
    """The tables that a policy names."""
    match rule:
        case policy.Retention():
            return (rule.table,)
        case policy.Orphans():
            return (rule.table, rule.parent)
        case policy.Vacuum():
            return () if rule.tables == "all" else rule.tables


def observe(
    connection: Connection, database: policy.Database, tables: Iterable[str]
) -> Iterator[dg.AssetObservation]:
    """How large each table is now, by the server's statistics."""
    for table in tables:
        rows, dead, size = catalog.observed(connection, catalog.relation(connection, table))
        yield dg.AssetObservation(
            key(database, table),
            metadata={
                "dagster/row_count": rows,
                "dead_rows": dead,
                "bytes": size,
            },
        )

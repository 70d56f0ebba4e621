"""Finds tables by the names that tests use."""

from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.relation import Relation, TableName, find_relation


def named(connection: Connection, table: str) -> Relation:
    """The table of that name, as written in policies.yaml."""
    return find_relation(connection, TableName.parse(table))

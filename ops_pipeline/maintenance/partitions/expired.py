"""Partitions that hold nothing but rows that have grown too old."""

from datetime import datetime

from ops_pipeline.database import Connection
from ops_pipeline.maintenance.catalog import Relation
from ops_pipeline.maintenance.partitions.partition import Partition, existing, key


def whole(connection: Connection, relation: Relation, column: str, cutoff: datetime) -> list[Partition]:
    """The table's partitions in which every row's `column` is older than `cutoff`, oldest first.

    By their bounds alone; none where the table is not partitioned by that column. The default partition
    has no bounds, and a partition that is partitioned itself, or is a foreign table, is left to the rows.
    """
    if key(connection, str(relation.identifier.as_string(connection)))[2] != column:
        return []
    return [
        each
        for each in existing(connection, relation.identifier.as_string(connection))
        if each.kind == "r" and not each.is_default and each.upper is not None and each.upper <= cutoff
    ]

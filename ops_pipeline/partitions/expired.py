"""Finds the partitions that contain only expired rows."""

from datetime import datetime

from ops_pipeline.partitions.partition import Partition, existing, partition_key
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.relation import Relation


def expired_partitions(
    connection: Connection, relation: Relation, column: str, cutoff: datetime
) -> list[Partition]:
    """The table's partitions in which every row's `column` is older than `cutoff`, oldest first.

    Decided by their bounds alone, so a partition may contain -infinity, which never expires
    (`may_hold_minus_infinity`); none where the table is not partitioned by that column. Left out, and deleted
    row by row, are the default partition, which has no bounds, partitions that are partitioned themselves,
    and foreign tables.
    """
    if partition_key(connection, relation) != column:
        return []
    return [
        partition
        for partition in existing(connection, relation)
        if partition.kind == "r"
        and not partition.is_default
        and partition.upper is not None
        and partition.upper <= cutoff
    ]

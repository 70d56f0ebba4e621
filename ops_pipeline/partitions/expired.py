"""Partitions that hold nothing but rows that have grown too old."""

from datetime import datetime

from ops_pipeline.partitions.partition import Partition, existing, partition_key
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.relation import Relation


def expired_partitions(
    connection: Connection, relation: Relation, column: str, cutoff: datetime
) -> list[Partition]:
    """The table's partitions in which every row's `column` is older than `cutoff`, oldest first.

    By their bounds alone, so that one may hold -infinity, which never expires (`may_hold_minus_infinity`);
    none where the table is not partitioned by that column. The default partition has no bounds,
    and a partition that is partitioned itself is left to the rows, as is a foreign table.
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

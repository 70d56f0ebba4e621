"""Partitions that retention drops whole, or cannot drop because of rows that never expire."""

from collections.abc import Iterator
from datetime import datetime

from psycopg import sql as compose

import sql
from ops_pipeline.diagnosis.diagnosis import Diagnosis, Examination
from ops_pipeline.finding import Finding
from ops_pipeline.maintenance.retention.expired import cutoff_now
from ops_pipeline.maintenance.retention.policy import Retention
from ops_pipeline.partitions.expired import expired_partitions
from ops_pipeline.partitions.partition import Partition, partition_key
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.postgres.relation import Relation
from ops_pipeline.postgres.spelling import spelled


def _find_unsaid(examined: Examination) -> Iterator[Finding]:
    for policy, table, cutoff in _partitioned(examined):
        if policy.partition is not None:
            continue
        expired = expired_partitions(examined.connection, table, policy.column, cutoff)
        now = f", now {', '.join(map(str, expired))}" if expired else ""
        yield Finding(
            str(table),
            f"partitions of {table} in which every row has expired are dropped whole ({policy.name}){now}. "
            "If each partition is a day, set this in the policy, and future partitions are premade as well",
            ("partition: day",),
        )


def _find_endless(examined: Examination) -> Iterator[Finding]:
    for policy, table, cutoff in _partitioned(examined):
        for partition in expired_partitions(examined.connection, table, policy.column, cutoff):
            if partition.may_hold_minus_infinity and _has_infinite(
                examined.connection, partition, policy.column
            ):
                yield Finding(
                    str(partition),
                    f"{partition} has rows whose {policy.column} is -infinity, which never expire: its "
                    "other rows are deleted in batches, and it is not dropped. If they need not be kept, "
                    "delete them",
                    (_delete_infinite(examined.connection, partition, policy.column),),
                )


def _partitioned(examined: Examination) -> Iterator[tuple[Retention, Relation, datetime]]:
    """The retention policies of tables that are partitioned by their time, with the cutoff of now."""
    for policy, table, _ in examined.deleting():
        if isinstance(policy, Retention) and partition_key(examined.connection, table) == policy.column:
            yield policy, table, cutoff_now(examined.connection, policy)


def _has_infinite(connection: Connection, partition: Partition, column: str) -> bool:
    statement = compose.SQL(sql.get("maintenance/retention/has_infinite")).format(
        table=partition.identifier, column=compose.Identifier(column)
    )
    return bool(scalar(connection, statement))


def _delete_infinite(connection: Connection, partition: Partition, column: str) -> str:
    statement = compose.SQL("DELETE FROM {} WHERE {} = '-infinity';")
    return spelled(statement.format(partition.identifier, compose.Identifier(column)), connection)


WHOLE_PARTITIONS = Diagnosis(
    id="whole_partitions",
    severity="info",
    question="Is `partition` set where retention drops whole partitions?",
    remedy="Set `partition: day` in the policy if each partition is a day ([partitions](../partitions.md)).",
    find=_find_unsaid,
)
ENDLESS_ROWS = Diagnosis(
    id="endless_rows",
    severity="info",
    question="Are expired partitions free of rows that never expire?",
    remedy="No action is required: the rows and their partition are kept. To have it dropped, delete the "
    "rows or set their time.",
    find=_find_endless,
)

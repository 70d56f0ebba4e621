"""Reads a partitioned table and its partitions from the catalog."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import sql
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.postgres.relation import Relation

FIRST_DAY = datetime(1, 1, 2, tzinfo=UTC)
"""Stands for every bound that Python's datetime cannot represent, including -infinity."""

PartitionState = Literal["attached", "pending", "detached", "gone"]
"""attached, detach pending, detached (a separate table), or gone (dropped)."""


class NotPartitionedError(Exception):
    """The table is not range-partitioned by one timestamp or date column."""


@dataclass(frozen=True, slots=True)
class Partition(Relation):
    """A partition and its range of times, `lower` included and `upper` not; None: no bound.

    Besides its name, `bounds` (as PostgreSQL writes them in UTC) and `parent` are its identity.
    `kind` is pg_class.relkind: "r" for a table, "p" where it is partitioned itself.
    """

    lower: datetime | None
    upper: datetime | None
    is_default: bool
    bounds: str
    parent: int
    kind: str

    @property
    def may_hold_minus_infinity(self) -> bool:
        """Whether its bounds include the time -infinity, which never expires."""
        return not self.is_default and (self.lower is None or self.lower <= FIRST_DAY)

    @property
    def identity(self) -> dict[str, object]:
        """The values for statements that must apply to this partition and no other."""
        names = ("oid", "schema", "name", "lower", "upper", "bounds", "parent")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class Partitioned(Relation):
    """A table that is range-partitioned by one timestamp or date column."""

    column: str


def partitioned(connection: Connection, table: Relation) -> Partitioned:
    """The table with its partition key. Raises NotPartitionedError."""
    column = partition_key(connection, table)
    if column is None:
        raise NotPartitionedError(f"{table} is not range-partitioned by one timestamp or date column")
    return Partitioned(table.oid, table.schema, table.name, column)


def partition_key(connection: Connection, table: Relation) -> str | None:
    """The one timestamp or date column by which the table is range-partitioned; None if it is not."""
    column: str | None = scalar(connection, sql.get("partitions/key"), {"oid": table.oid})
    return column


def existing(connection: Connection, table: Relation) -> list[Partition]:
    """The partitions of that table, oldest first, without those whose detach is pending."""
    rows = connection.execute(sql.get("partitions/existing"), {"oid": table.oid})
    return [Partition(*row) for row in rows]


def state(connection: Connection, partition: Partition) -> PartitionState:
    """The current state of that partition."""
    present_state = connection.execute(sql.get("partitions/state"), {"oid": partition.oid}).fetchone()
    return "gone" if present_state is None else present_state[0]

"""What the catalog says about a partitioned table and its partitions."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import sql
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.postgres.relation import Relation

FIRST_DAY = datetime(1, 1, 2, tzinfo=UTC)
"""What stands for every bound that Python's calendar does not reach, -infinity among them."""

PartitionState = Literal["attached", "pending", "detached", "gone"]
"""Where a partition stands: of its table, half out of it, a table of its own, or dropped."""


class NotPartitionedError(Exception):
    """The table is not range-partitioned by one column of time."""


@dataclass(frozen=True, slots=True)
class Partition(Relation):
    """A partition and the times it takes, `lower` included and `upper` not; None: no bound.

    Besides what it is called, `bounds` (as PostgreSQL writes them in UTC) and `parent` are its identity.
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
        """Whether its bounds admit the time -infinity, which never expires."""
        return not self.is_default and (self.lower is None or self.lower <= FIRST_DAY)

    @property
    def identity(self) -> dict[str, object]:
        """As the statements take it that must meet this partition and no other."""
        names = ("oid", "schema", "name", "lower", "upper", "bounds", "parent")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class Partitioned(Relation):
    """A table that is range-partitioned by one column of time."""

    column: str


def partitioned(connection: Connection, table: Relation) -> Partitioned:
    """The table with its partition key. Raises NotPartitionedError."""
    column = partition_key(connection, table)
    if column is None:
        raise NotPartitionedError(f"{table} is not partitioned by a range of one column of time")
    return Partitioned(table.oid, table.schema, table.name, column)


def partition_key(connection: Connection, table: Relation) -> str | None:
    """The one column of time that the table is range-partitioned by, if it is."""
    column: str | None = scalar(connection, sql.get("partitions/key"), {"oid": table.oid})
    return column


def existing(connection: Connection, table: Relation) -> list[Partition]:
    """The partitions of that table, oldest first; one whose detach is pending is none."""
    rows = connection.execute(sql.get("partitions/existing"), {"oid": table.oid})
    return [Partition(*row) for row in rows]


def state(connection: Connection, partition: Partition) -> PartitionState:
    """What has become of that partition."""
    present_state = connection.execute(sql.get("partitions/state"), {"oid": partition.oid}).fetchone()
    return "gone" if present_state is None else present_state[0]

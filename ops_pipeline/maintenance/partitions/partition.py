"""What the catalog says about a partitioned table and its partitions."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from psycopg import sql as compose

import sql
from ops_pipeline.database import Connection, row

State = Literal["attached", "pending", "detached", "gone"]
"""Where a partition stands: of its table, half out of it, a table of its own, or dropped."""


class NotPartitionedError(Exception):
    """The table is not range-partitioned by one column of time."""


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition and the times it takes, `lower` included and `upper` not; None: no bound.

    `oid`, `schema`, `name`, `bounds` (as PostgreSQL writes them in UTC) and `parent` are its identity.
    `kind` is pg_class.relkind: "r" for a table, "p" where it is partitioned itself.
    """

    oid: int
    schema: str
    name: str
    lower: datetime | None
    upper: datetime | None
    is_default: bool
    bounds: str
    parent: int
    kind: str

    @property
    def identifier(self) -> compose.Identifier:
        return compose.Identifier(self.schema, self.name)

    @property
    def identity(self) -> dict[str, object]:
        """As the statements take it that must meet this partition and no other."""
        names = ("oid", "schema", "name", "lower", "upper", "bounds", "parent")
        return {each: getattr(self, each) for each in names}

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True, slots=True)
class Partitioned:
    """A table that is range-partitioned by one column of time."""

    oid: int
    schema: str
    name: str
    column: str

    @property
    def identifier(self) -> compose.Identifier:
        return compose.Identifier(self.schema, self.name)

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"


def partitioned(connection: Connection, table: str) -> Partitioned:
    """The table of that name. Raises NotPartitionedError."""
    oid, schema, name, column = row(connection, sql.get("partitions/key"), {"table": table})
    if column is None:
        raise NotPartitionedError(f"{table} is not partitioned by a range of one column of time")
    return Partitioned(oid, schema, name, column)


def key(connection: Connection, table: str) -> tuple[str, str, str | None]:
    """The table's schema, its name, and the one column of time it is range-partitioned by, if it is."""
    _, schema, name, column = row(connection, sql.get("partitions/key"), {"table": table})
    return schema, name, column


def existing(connection: Connection, table: str) -> list[Partition]:
    """The partitions of that table, oldest first; one whose detach is pending is none."""
    rows = connection.execute(sql.get("partitions/existing"), {"table": table})
    return [Partition(*each) for each in rows]


def state(connection: Connection, partition: Partition) -> State:
    """What has become of that partition."""
    found = connection.execute(sql.get("partitions/state"), {"oid": partition.oid}).fetchone()
    return "gone" if found is None else found[0]

"""What the database says of each table that VACUUM may be of use to."""

from dataclasses import dataclass
from datetime import datetime

import sql
from ops_pipeline.maintenance.vacuum.policy import Vacuum
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.relation import Relation, find_relation


@dataclass(frozen=True, slots=True)
class Table:
    """A table, a partition, or a partitioned table (`parent`), which has statistics but no rows itself.

    `root` is the partitioned table it belongs to, or itself. `system`: it is PostgreSQL's own.
    `allowed`: this user may vacuum it. `reltuples`: rows as the last VACUUM or ANALYZE has recorded it, -1
    for unknown; `fillfactor`: how full its pages are to be, in percent. `dead`, `live`: row versions, as
    the statistics know them; `changed`: rows written since the last ANALYZE. Ages count transactions (or
    multixacts) since the oldest one in it, its TOAST table included; at its limit autovacuum comes whatever
    it is set to.
    """

    oid: int
    schema: str
    name: str
    parent: bool
    system: bool
    allowed: bool
    root: int
    bytes: int
    reltuples: float
    fillfactor: int
    live: int
    dead: int
    toast_live: int
    toast_dead: int
    changed: int
    vacuumed: datetime | None
    analyzed: datetime | None
    age: int
    age_limit: int
    multixact_age: int
    multixact_limit: int

    @property
    def relation(self) -> Relation:
        return Relation(self.oid, self.schema, self.name)

    @property
    def rows(self) -> float | None:
        """Rows, as far as they are counted; None when they are not."""
        counted = (self.live, self.dead, self.changed, self.vacuumed, self.analyzed)
        return self.live if any(counted) else (self.reltuples if self.reltuples >= 0 else None)

    @property
    def age_share(self) -> float:
        """How much of the way to autovacuum's own emergency it has gone; 1 is there."""
        return max(self.age / self.age_limit, self.multixact_age / self.multixact_limit)

    def __str__(self) -> str:
        return str(self.relation)


@dataclass(frozen=True, slots=True)
class TableState:
    """A table at one moment; `bytes` with its TOAST table, ages in transactions and multixacts."""

    live: int
    dead: int
    toast_live: int
    toast_dead: int
    bytes: int
    index_bytes: int
    age: int
    multixact_age: int

    @classmethod
    def listed(cls, table: Table) -> "TableState":
        """The table as it was when it was listed, for one that is locked too much to be asked again."""
        return cls(
            table.live, table.dead, table.toast_live, table.toast_dead, table.bytes, 0, table.age,
            table.multixact_age,
        )  # fmt: skip

    @property
    def all_dead(self) -> int:
        """Dead row versions, those of its TOAST table included."""
        return self.dead + self.toast_dead


def policy_tables(connection: Connection, policy: Vacuum) -> list[Table]:
    """The policy's tables, partitions one by one. Raises LookupError when a named one does not exist."""
    named = None
    if policy.tables != "all":
        named = [find_relation(connection, table).oid for table in policy.tables]
    return find_tables(connection, named)


def find_tables(connection: Connection, oids: list[int] | None) -> list[Table]:
    """Those tables and their partitions; None: all of the database."""
    connection.execute(sql.get("postgres/flush_statistics"))
    rows = connection.execute(sql.get("maintenance/vacuum/tables"), {"oids": oids})
    return [Table(*row) for row in rows]


def table_state(connection: Connection, table: Relation) -> TableState | None:
    """How the table stands, this session's own last statements included; None when it is gone.

    Raises psycopg.errors.LockNotAvailable when another session lets nobody near it.
    """
    connection.execute(sql.get("postgres/flush_statistics"))
    state = connection.execute(sql.get("maintenance/vacuum/state"), {"oid": table.oid}).fetchone()
    return TableState(*state) if state else None

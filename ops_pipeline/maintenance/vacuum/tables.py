"""Reads the size, dead rows and age of each table that a vacuum policy is about."""

from dataclasses import dataclass
from datetime import datetime

import sql
from ops_pipeline.maintenance.vacuum.policy import Vacuum
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.relation import Relation, find_relation


@dataclass(frozen=True, slots=True)
class Table:
    """A table, a partition, or a partitioned table (`parent`), which has statistics but no rows itself.

    `root`: the oid of the partitioned table it belongs to, or its own. `system`: it is a system catalog.
    `allowed`: this user may vacuum it. `reltuples`: rows as recorded by the last VACUUM or ANALYZE, -1 if
    unknown; `fillfactor`: in percent. `dead`, `live`: row versions, by the cumulative statistics; `changed`:
    rows written since the last ANALYZE. Ages are in transactions (or multixacts) since the oldest one in it,
    its TOAST table included; at the limit autovacuum starts whatever its settings are.
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
        """The number of rows by the statistics, or else by reltuples; None when both are unknown."""
        counted = (self.live, self.dead, self.changed, self.vacuumed, self.analyzed)
        return self.live if any(counted) else (self.reltuples if self.reltuples >= 0 else None)

    @property
    def age_share(self) -> float:
        """Its age as a share of the age at which autovacuum must freeze it."""
        return max(self.age / self.age_limit, self.multixact_age / self.multixact_limit)

    def __str__(self) -> str:
        return str(self.relation)


@dataclass(frozen=True, slots=True)
class TableState:
    """A table's state at one time; `bytes` with its TOAST table, ages in transactions and multixacts."""

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
        """The state when the table was listed, for a table whose lock prevents reading it again."""
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
    """The table's state, including this session's own last statements; None when it does not exist.

    Raises psycopg.errors.LockNotAvailable while another session has an ACCESS EXCLUSIVE lock on it.
    """
    connection.execute(sql.get("postgres/flush_statistics"))
    state = connection.execute(sql.get("maintenance/vacuum/state"), {"oid": table.oid}).fetchone()
    return TableState(*state) if state else None

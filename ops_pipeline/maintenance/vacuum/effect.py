"""What VACUUM brought a table: dead rows, bytes, and the age of its oldest row, before and after."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import sql
from ops_pipeline.maintenance.vacuum import bloat, priorities
from ops_pipeline.maintenance.vacuum.tables import Table
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.relation import Relation

TableOutcome = Literal["done", "blocked", "passed over"]


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
    def burdened(self) -> bool:
        """Whether VACUUM is due because of the dead rows it holds."""
        return priorities.burdened(self.live, self.dead) or priorities.burdened(
            self.toast_live, self.toast_dead
        )

    @property
    def all_dead(self) -> int:
        """Dead row versions, those of its TOAST table included."""
        return self.dead + self.toast_dead


@dataclass(frozen=True, slots=True)
class IndexGain:
    """What came of one index that was built anew, or of one that was left over and dropped.

    `expected`: the bytes that its statistics gave it before it was built anew. `problem`: what kept it from
    being done, if anything did; the index is as it was.
    """

    index: str
    table: str
    action: Literal["rebuild", "drop"]
    reason: str
    outcome: TableOutcome
    seconds: float
    bytes_before: int
    bytes_after: int
    expected: int | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Gain:
    """What came of one table. `problem`: what kept it from being done, if anything did.

    Bloat is in bytes, of the table without its TOAST table and of its B-trees; None where nothing tells.
    VACUUM makes it room for new rows and seldom less. `bloat_by`: who says so.
    """

    table: str
    action: priorities.VacuumAction
    reason: str
    outcome: TableOutcome
    seconds: float
    dead_before: int
    dead_after: int
    bytes_before: int
    bytes_after: int
    index_bytes_before: int
    index_bytes_after: int
    age_before: int
    age_after: int
    multixact_age_before: int
    multixact_age_after: int
    bloat_before: int | None = None
    bloat_after: int | None = None
    index_bloat_before: int | None = None
    index_bloat_after: int | None = None
    bloat_by: bloat.BloatSource | None = None
    problem: str = ""


def state(connection: Connection, table: Relation) -> TableState | None:
    """How the table stands, this session's own last statements included; None when it is gone.

    Raises psycopg.errors.LockNotAvailable when another session lets nobody near it.
    """
    connection.execute(sql.get("postgres/flush_statistics"))
    found = connection.execute(sql.get("maintenance/vacuum/state"), {"oid": table.oid}).fetchone()
    return TableState(*found) if found else None


def between(
    choice: priorities.Choice,
    before: TableState,
    after: TableState,
    outcome: TableOutcome,
    problem: str,
    seconds: float,
) -> Gain:
    """What lies between two states of the table of that choice."""
    return Gain(
        table=str(choice.table),
        action=choice.action,
        reason=choice.reason,
        outcome=outcome,
        seconds=round(seconds, 3),
        dead_before=before.all_dead,
        dead_after=after.all_dead,
        bytes_before=before.bytes,
        bytes_after=after.bytes,
        index_bytes_before=before.index_bytes,
        index_bytes_after=after.index_bytes,
        age_before=before.age,
        age_after=after.age,
        multixact_age_before=before.multixact_age,
        multixact_age_after=after.multixact_age,
        problem=problem,
    )


def with_rebuilt(each: Gain, rebuilt: Sequence[IndexGain]) -> Gain:
    """The gain of a table, with what its indexes became smaller by since then."""
    of_table = [index for index in rebuilt if index.table == each.table and index.action == "rebuild"]
    smaller = sum(index.bytes_before - index.bytes_after for index in of_table)
    return replace(each, index_bytes_after=each.index_bytes_after - smaller)


def with_bloat(each: Gain, oid: int, before: bloat.BloatReport, after: bloat.BloatReport) -> Gain:
    """The gain of the table of that oid, with the bloat that was found before and after."""
    tables = before.tables.get(oid), after.tables.get(oid)
    indexes = before.of_indexes(oid), after.of_indexes(oid)
    told = [found.by for found in (*tables, *indexes) if found]
    by: bloat.BloatSource = "pgstattuple" if all(found == "pgstattuple" for found in told) else "statistics"
    return replace(
        each,
        bloat_before=tables[0].wasted if tables[0] else None,
        bloat_after=tables[1].wasted if tables[1] else None,
        index_bloat_before=indexes[0].wasted if indexes[0] else None,
        index_bloat_after=indexes[1].wasted if indexes[1] else None,
        bloat_by=by if told else None,
    )

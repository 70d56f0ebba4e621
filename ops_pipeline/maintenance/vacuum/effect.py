"""What VACUUM brought a table: dead rows, bytes, and the age of its oldest row, before and after."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ops_pipeline.maintenance.vacuum import bloat, priorities
from ops_pipeline.maintenance.vacuum.tables import TableState

TableOutcome = Literal["done", "blocked", "passed over"]


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
class TableGain:
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


def table_gain(
    choice: priorities.Choice,
    before: TableState,
    after: TableState,
    outcome: TableOutcome,
    problem: str,
    seconds: float,
) -> TableGain:
    """What lies between two states of the table of that choice."""
    return TableGain(
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


def with_rebuilt(gain: TableGain, rebuilt: Sequence[IndexGain]) -> TableGain:
    """The gain of a table, with what its indexes became smaller by since then."""
    of_table = [index for index in rebuilt if index.table == gain.table and index.action == "rebuild"]
    smaller = sum(index.bytes_before - index.bytes_after for index in of_table)
    return replace(gain, index_bytes_after=gain.index_bytes_after - smaller)


def with_bloat(gain: TableGain, oid: int, before: bloat.BloatReport, after: bloat.BloatReport) -> TableGain:
    """The gain of the table of that oid, with its bloat before and after."""
    table_before, table_after = before.tables.get(oid), after.tables.get(oid)
    index_before, index_after = before.of_indexes(oid), after.of_indexes(oid)
    sources = {known.by for known in (table_before, table_after, index_before, index_after) if known}
    by: bloat.BloatSource = "statistics" if "statistics" in sources else "pgstattuple"
    return replace(
        gain,
        bloat_before=table_before.wasted if table_before else None,
        bloat_after=table_after.wasted if table_after else None,
        index_bloat_before=index_before.wasted if index_before else None,
        index_bloat_after=index_after.wasted if index_after else None,
        bloat_by=by if sources else None,
    )

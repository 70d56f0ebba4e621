"""The effect of VACUUM and REINDEX on a table: dead rows, bytes, bloat and age, before and after."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ops_pipeline.maintenance.vacuum import bloat, priorities
from ops_pipeline.maintenance.vacuum.tables import TableState

TableOutcome = Literal["done", "blocked", "skipped"]


@dataclass(frozen=True, slots=True)
class IndexGain:
    """The result for one index: rebuilt, or an invalid one dropped.

    `expected`: its size in bytes after the rebuild as estimated from the statistics before it. `problem`: why
    it was not done; the index is unchanged then.
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
    """The result for one table. `problem`: why it was not done; empty when it was.

    Bloat is in bytes, of the table without its TOAST table and of its B-trees; None where unknown. VACUUM
    makes its space reusable and seldom reduces it. `bloat_by`: how it was measured.
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
    """The difference between two states of the table of that choice."""
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
    """The gain of a table, including the bytes saved by rebuilding its indexes."""
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

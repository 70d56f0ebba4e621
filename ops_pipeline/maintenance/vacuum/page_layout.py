"""Computes how many bytes rows take in a newly written table or B-tree, from PostgreSQL's page layout.

The layout is that of PostgreSQL's documentation, "Database Page Layout" (page header, item identifiers,
tuple header, null bitmap, alignment) and "B-Tree Indexes" (special space, high keys, deduplication). Two
rules are from its source, `nbtsort.c`: a new leaf page is filled up to the fillfactor, and a posting list
up to a tenth of a page. Widths, NULLs and distinct values of columns come from ANALYZE, so the results are
estimates.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

PAGE_HEADER = 24
ITEM = 4
"""An item identifier, one for each row of a page."""
ALIGNMENT = 8
"""Every row begins at a multiple of this (MAXALIGN)."""
ROW_HEADER = 23
ENTRY_HEADER = 8
ENTRY_HEADER_WITH_NULLS = 16
BTREE_SPECIAL = 16
POINTER = 6
"""Bytes of a row's TID in a posting list."""
SHORT = 127
"""A value of variable length up to this many bytes has a header of one byte and is not aligned."""
INNER_FILL = 0.7


@dataclass(frozen=True, slots=True)
class ColumnStatistics:
    """A column's statistics from ANALYZE. `length`: in bytes, below 0 when it varies; `width`: on average,
    None when unknown; `distinct`: number of values, a negative number is a share of the rows."""

    length: int
    alignment: int
    width: float | None
    null_share: float = 0.0
    distinct: float = -1.0

    @property
    def bytes(self) -> float | None:
        """The width of a value that is not NULL."""
        return float(self.length) if self.length > 0 else self.width


def table_bytes(rows: float, columns: Sequence[ColumnStatistics], fillfactor: int, page: int) -> int | None:
    """Bytes of that many rows in a table's pages, without TOAST; None where a width is unknown."""
    measured = _data(columns)
    if measured is None:
        return None
    data, constant = measured
    bitmap = math.ceil(len(columns) / 8)
    with_nulls = 1 - math.prod(1 - column.null_share for column in columns)
    header = (1 - with_nulls) * _aligned(ROW_HEADER) + with_nulls * _aligned(ROW_HEADER + bitmap)
    row = _padded(header + data, constant=constant)
    room = (page - PAGE_HEADER) - page * (100 - fillfactor) / 100
    # Rows of different lengths leave about half a row free at the end of a page.
    fits = room / (row + ITEM)
    return page * math.ceil(rows / max(1.0, math.floor(fits) if constant else fits - 0.5))


def btree_bytes(
    rows: float, columns: Sequence[ColumnStatistics], fillfactor: int, page: int, *, deduplicated: bool
) -> int | None:
    """Bytes of a B-tree over that many rows; None where a width is unknown.

    `deduplicated`: equal keys are stored once, with a posting list of their rows.
    """
    nulls = 0.0
    if len(columns) == 1:  # a NULL has an entry too, with its own header
        nulls = rows * columns[0].null_share
        columns = [replace(columns[0], null_share=0.0)]
    measured = _data(columns)
    if measured is None:
        return None
    data, constant = measured
    with_nulls = 1 - math.prod(1 - column.null_share for column in columns)
    header = (1 - with_nulls) * ENTRY_HEADER + with_nulls * ENTRY_HEADER_WITH_NULLS
    entry = _padded(header + data, constant=constant)
    # A page's last entry may exceed the fillfactor; it moves to the next page, as this one's high key.
    room = page - PAGE_HEADER - BTREE_SPECIAL - page * (100 - fillfactor) / 100
    if deduplicated:
        needed = _keys(rows, nulls, columns, entry, page) + _key(nulls, ENTRY_HEADER_WITH_NULLS, page)
    else:
        needed = (rows - nulls) * (entry + ITEM) + nulls * (ENTRY_HEADER_WITH_NULLS + ITEM)
    # Entries are not split across pages, so the end of each page stays free.
    fits = max(1.0, room / (entry + ITEM))
    leaves = math.ceil(needed / (room * (math.floor(fits) / fits if constant and not deduplicated else 1)))
    pages, level = leaves, leaves
    inner_room = (page - PAGE_HEADER - BTREE_SPECIAL) * INNER_FILL
    # No entry takes more than a third of a page, so every page has at least three and each level fewer pages.
    fan_out = max(3.0, inner_room / (entry + ITEM))
    while level > 1:
        level = math.ceil(level / fan_out)
        pages += level
    return page * (pages + 1)


def _keys(rows: float, nulls: float, columns: Sequence[ColumnStatistics], entry: float, page: int) -> float:
    """Bytes of the entries when equal keys share one. For composite keys the largest possible number of
    distinct keys is assumed."""
    values = (column.distinct if column.distinct >= 0 else -column.distinct * rows for column in columns)
    distinct = min(math.prod(max(1.0, value) for value in values), rows - nulls)
    return distinct * _key((rows - nulls) / distinct, entry, page) if distinct >= 1 else 0.0


def _key(duplicates: float, entry: float, page: int) -> float:
    """Bytes of one key that has that many rows."""
    most = (page // 10 // ALIGNMENT * ALIGNMENT - ITEM) // ALIGNMENT * ALIGNMENT
    capacity = max(2.0, (most - entry) // POINTER)
    full = math.floor(duplicates / capacity)
    rest = duplicates - full * capacity
    size = full * (_aligned(entry + capacity * POINTER) + ITEM)
    if rest >= 2:
        return size + _padded(entry + rest * POINTER, constant=False) + ITEM
    single = entry + ITEM
    if rest >= 1:  # a fractional rest: some keys have one row, the others two
        return size + (2 - rest) * single + (rest - 1) * (_aligned(entry + 2 * POINTER) + ITEM)
    return size + rest * single


def _data(columns: Sequence[ColumnStatistics]) -> tuple[float, bool] | None:
    """The columns' bytes including alignment, and whether they are the same in every row."""
    end, constant, grain = 0.0, True, ALIGNMENT
    for column in columns:
        width = column.bytes
        if width is None:
            return None
        if column.null_share == 1.0:
            continue
        varies = column.length < 0
        alignment = 1 if varies and width <= SHORT else column.alignment
        # After a value of variable length the next one may begin at any multiple of the grain.
        padding = _aligned(end, alignment) - end if constant else max(0, alignment - grain) / 2
        end += (padding + width) * (1 - column.null_share)
        grain = 1 if varies else math.gcd(max(grain, alignment), column.length)
        constant = constant and not varies and column.null_share == 0.0
    return end, constant


def _padded(size: float, *, constant: bool) -> float:
    return _aligned(size) if constant else size + (ALIGNMENT - 1) / 2


def _aligned(size: float, alignment: int = ALIGNMENT) -> float:
    return math.ceil(size / alignment) * alignment

"""Splits Arrow batches by the UTC day of a column."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EPOCH_ORDINAL = EPOCH.toordinal()


def split(batch: pa.RecordBatch, field: str) -> Iterator[tuple[date | None, pa.RecordBatch]]:
    """The batch's rows by the day of that field, in their order within a day.

    Each piece is a copy unless the whole batch is of one day. Day None: rows without a value, or outside of
    the years 1 to 9999.
    """
    days = pc.cast(batch.column(field), pa.date32(), safe=False).cast(pa.int32())
    bounds = pc.min_max(days).as_py()
    if days.null_count == 0 and bounds["min"] == bounds["max"]:
        yield _day(bounds["min"]), batch
        return
    order = pc.sort_indices(days)  # stable; rows without a value come last
    runs = pc.run_end_encode(days.take(order))
    start = 0
    for number, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
        yield _day(number), batch.take(order.slice(start, end - start))
        start = end


def bounds(table: pa.Table, field: str) -> tuple[datetime | None, datetime | None]:
    """The oldest and newest time of that field; None where Python's datetime cannot represent it."""
    values = table.column(field)
    if pa.types.is_date(values.type):
        values = values.cast(pa.timestamp("s"))
    unit = values.type.unit
    extremes = pc.min_max(values.cast(pa.int64())).as_py()
    return _moment(extremes["min"], unit), _moment(extremes["max"], unit)


def _day(number: int | None) -> date | None:
    if number is None:
        return None
    ordinal = EPOCH_ORDINAL + number
    return date.fromordinal(ordinal) if 1 <= ordinal <= date.max.toordinal() else None


def _moment(number: int | None, unit: str) -> datetime | None:
    if number is None:
        return None
    try:
        return EPOCH + (timedelta(seconds=number) if unit == "s" else timedelta(microseconds=number))
    except OverflowError:
        return None

"""Rows are compared bit by bit and split by UTC day."""

from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pytest

from ops_pipeline.archive import arrow, parquet, split_by_day


def _doubles(*values: float | None) -> pa.Table:
    return pa.table({"x": pa.array(values, pa.float64())})


def test_rows_that_differ_in_one_bit_are_different() -> None:
    nan = float("nan")

    assert arrow.same(_doubles(nan, -0.0, None, 5e-324), _doubles(nan, -0.0, None, 5e-324))
    assert not arrow.same(_doubles(0.0), _doubles(-0.0))
    assert not arrow.same(_doubles(None), _doubles(nan))
    assert not arrow.same(_doubles(1.0), _doubles(1.0, 1.0))
    assert not arrow.same(pa.table({"x": [""]}), pa.table({"x": pa.array([None], pa.string())}))


def test_a_file_that_decodes_to_other_rows_is_refused() -> None:
    rows = pa.table({"x": pa.array([1, 2, 3], pa.int64())})
    encoder = parquet.Encoder(rows.schema)
    encoder.add(rows)
    content = encoder.close()

    parquet.check(content, [rows])
    with pytest.raises(parquet.NotTheSameError, match="row group 0"):
        parquet.check(content, [pa.table({"x": pa.array([1, 2, 4], pa.int64())})])
    with pytest.raises(parquet.NotTheSameError, match="1 row groups where 2"):
        parquet.check(content, [rows, rows])


@pytest.mark.parametrize("kind", [pa.timestamp("us", tz="UTC"), pa.timestamp("us")])
def test_days_end_at_midnight_utc_before_1970_as_well(kind: pa.DataType) -> None:
    midnights = [
        datetime(1969, 12, 31, tzinfo=UTC),
        datetime(2026, 3, 1, tzinfo=UTC),
        datetime(1, 1, 1, tzinfo=UTC),
    ]
    moments = [each + timedelta(microseconds=after) for each in midnights for after in (0, 1)]
    moments += [each - timedelta(microseconds=1) for each in midnights[:2]]
    naive = [each.replace(tzinfo=None) for each in moments]
    batch = pa.record_batch({"at": pa.array(naive, pa.timestamp("us")).cast(kind)})

    pieces = {day: piece.num_rows for day, piece in split_by_day.split(batch, "at")}

    assert pieces == {
        date(1, 1, 1): 2, date(1969, 12, 30): 1, date(1969, 12, 31): 2, date(2026, 2, 28): 1,
        date(2026, 3, 1): 2,
    }  # fmt: skip


def test_rows_keep_their_order_within_a_day() -> None:
    dates = [date(2026, 1, 1 + nth % 3) for nth in range(300)]
    batch = pa.record_batch({"at": pa.array(dates), "nth": pa.array(range(300))})

    for day, piece in split_by_day.split(batch, "at"):
        assert day is not None
        assert piece["nth"].to_pylist() == list(range(day.day - 1, 300, 3))

"""A time is parsed as people write it, or refused with the valid forms."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ops_pipeline.audit import times

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("now", NOW),
        ("-0s", NOW),
        ("-90s", NOW - timedelta(seconds=90)),
        ("-15m", NOW - timedelta(minutes=15)),
        ("-36h", NOW - timedelta(hours=36)),
        ("-7d", NOW - timedelta(days=7)),
        ("-2w", NOW - timedelta(weeks=2)),
        ("2026-02-01", datetime(2026, 2, 1, tzinfo=UTC)),
        ("2026-02-01T10:00", datetime(2026, 2, 1, 10, tzinfo=UTC)),
        ("2026-02-01 10:00", datetime(2026, 2, 1, 10, tzinfo=UTC)),
        ("2026-02-01T10:00:00Z", datetime(2026, 2, 1, 10, tzinfo=UTC)),
        ("2026-02-01T10:00:00.123456+02:00", datetime(2026, 2, 1, 8, 0, 0, 123456, tzinfo=UTC)),
        ("2026-02-01T10:00:00 02:00", datetime(2026, 2, 1, 8, tzinfo=UTC)),  # a + that became a space
        ("20260201T100000-0330", datetime(2026, 2, 1, 13, 30, tzinfo=UTC)),
    ],
)
def test_a_time_is_parsed_as_written(text: str, moment: datetime) -> None:
    assert times.read(text, NOW) == moment


@pytest.mark.parametrize(
    "text",
    [
        "", "soon", "yesterday", "7d", "-7", "-7y", "--7d", "-1.5h", "-9999999999d", "-999999999w",
        "-\u0667d", "2026-13-01", "2026-02-30", "2026-02-01T25:00", "0001-01-01T00:00+14:00", "12:00",
        "1767225600", "x\0",
    ],
)  # fmt: skip
def test_an_invalid_time_is_refused_with_the_valid_forms(text: str) -> None:
    with pytest.raises(ValueError, match="ISO 8601"):
        times.read(text, NOW)


@given(st.datetimes(), st.integers(-14 * 60, 14 * 60))
def test_a_time_is_the_same_instant_in_any_zone(moment: datetime, minutes: int) -> None:
    zoned = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    assume(2 < moment.year < 9998)

    assert times.read(zoned.isoformat(), NOW) == zoned
    assert times.read(zoned.isoformat().replace("+", " "), NOW) == zoned


@given(st.text())
def test_any_text_is_parsed_or_refused(text: str) -> None:
    with suppress(ValueError):
        assert times.read(text, NOW).tzinfo is UTC


@pytest.mark.parametrize("text", ["2027-01-01T14:00:00+02:00", "2027-01-01T12:00:00Z", "2027-01-01T12:00:00"])
def test_a_future_time_in_any_zone_is_in_utc(text: str) -> None:
    time = times.ahead(text, datetime(2026, 1, 1, tzinfo=UTC))

    assert f"{time:%Y-%m-%d %H:%M} {time.tzname()}" == "2027-01-01 12:00 UTC"


def test_a_future_time_that_utc_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="is not a valid time"):
        times.ahead("9999-12-31T23:59:59-14:00", datetime(2026, 1, 1, tzinfo=UTC))

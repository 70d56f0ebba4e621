"""Durations are written in units that people use, never as Python's `1 day, 0:00:00`."""

from datetime import timedelta

import pytest

from ops_pipeline.counted import duration
from ops_pipeline.policies import values


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"), (59.6, "1 min 0 s"), (192, "3 min 12 s"), (16_260, "4 h 31 min"), (190_800, "2 d 5 h"),
    ],
)  # fmt: skip
def test_an_age_has_its_two_largest_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize("text", ["5 seconds", "90 seconds", "1 hour", "1 day", "30 days"])
def test_a_duration_of_a_policy_is_written_as_it_was_read(text: str) -> None:
    assert values.written(values.duration(text)) == text


def test_no_time_is_no_seconds() -> None:
    assert values.written(timedelta(0)) == "0 seconds"

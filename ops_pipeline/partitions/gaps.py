"""Times that no partition covers."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from ops_pipeline.partitions.partition import Partition


@dataclass(frozen=True, slots=True)
class Range:
    """Times from `lower`, included, to `upper`, not included."""

    lower: datetime
    upper: datetime

    def __str__(self) -> str:
        return f"{self.lower:%Y-%m-%d %H:%M:%S} to {self.upper:%Y-%m-%d %H:%M:%S} UTC"


def gaps(present: list[Partition], first: date, last: date) -> Iterator[Range]:
    """What no partition covers of the days from `first` to `last`, cut at midnight (UTC)."""
    bounded = [each for each in present if not each.is_default]
    for day in (first + timedelta(days=offset) for offset in range((last - first).days + 1)):
        start, end = midnight(day), midnight(day + timedelta(days=1))
        for each in bounded:
            if each.upper is not None and each.upper <= start:
                continue
            if each.lower is not None and each.lower >= end:
                break
            if each.lower is not None and each.lower > start:
                yield Range(start, each.lower)
            start = end if each.upper is None else min(each.upper, end)
        if start < end:
            yield Range(start, end)


def midnight(day: date) -> datetime:
    """When that day begins in UTC."""
    return datetime.combine(day, time(), UTC)

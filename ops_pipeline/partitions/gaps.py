"""Finds ranges of time that no partition covers."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from ops_pipeline.partitions.partition import Partition, existing
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.relation import Relation


@dataclass(frozen=True, slots=True)
class Range:
    """Times from `lower`, included, to `upper`, not included."""

    lower: datetime
    upper: datetime

    def __str__(self) -> str:
        return f"{self.lower:%Y-%m-%d %H:%M:%S} to {self.upper:%Y-%m-%d %H:%M:%S} UTC"


def gaps(present: list[Partition], first: date, last: date) -> Iterator[Range]:
    """The ranges from `first` to `last` that no partition covers, split at midnight (UTC)."""
    bounded = [partition for partition in present if not partition.is_default]
    for day in (first + timedelta(days=offset) for offset in range((last - first).days + 1)):
        start, end = midnight(day), midnight(day + timedelta(days=1))
        for partition in bounded:
            if partition.upper is not None and partition.upper <= start:
                continue
            if partition.lower is not None and partition.lower >= end:
                break
            if partition.lower is not None and partition.lower > start:
                yield Range(start, partition.lower)
            start = end if partition.upper is None else min(partition.upper, end)
        if start < end:
            yield Range(start, end)


def days_without_partition(connection: Connection, table: Relation, days: int) -> list[date]:
    """Which of today and the next `days` days (UTC) are not fully covered by partitions. Reads only."""
    today = datetime.now(UTC).date()
    uncovered = gaps(existing(connection, table), today, today + timedelta(days=days))
    return sorted({gap.lower.date() for gap in uncovered})


def midnight(day: date) -> datetime:
    """The beginning of that day in UTC."""
    return datetime.combine(day, time(), UTC)

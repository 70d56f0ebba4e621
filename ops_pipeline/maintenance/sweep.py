"""A table walked in windows: a transaction each, its place kept, its size fitted to a time."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import psycopg
from psycopg.types.json import Jsonb

import sql
from ops_pipeline.database import Connection
from ops_pipeline.maintenance.history import Record
from ops_pipeline.maintenance.result import COMPLETED

TARGET_SECONDS = 0.1
"""How long a batch should take: long enough to be worth its commit, short enough for anyone who waits
behind its locks, and for whoever asks us to stop."""

BLOCKED = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)
"""Somebody else's lock was in the way; the batch is rolled back and may be tried again."""

Position = list[Any]
"""A place in a table, as JSON can hold it."""

Stop = Callable[[], str | None]
"""Asked before each batch: None to go on, or the reason to stop."""

Report = Callable[[str], None]
"""Told in words how the work goes."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What one window held. `position` is its end, None when the table is at its end."""

    examined: int
    removed: int
    position: Position | None


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large a window may be, in the sweep's own unit."""

    first: int
    least: int
    most: int


class Sweep(Protocol):
    """A way to walk a table."""

    sizes: Sizes

    def batch(self, after: Position | None, until: Position | None, size: int, *, skip_locked: bool) -> Batch:
        """Does the window of `size` that follows `after` (None: from the table's start) and ends at
        `until` at the latest, passing over locked rows if told to. The caller commits."""


def work_through(connection: Connection, sweep: Sweep, record: Record, *, stop: Stop, report: Report) -> str:
    """Walks the whole table, batch by batch, and says why it ended.

    A sweep that stopped before its end, for whatever reason, goes on where it stopped and then does
    the part before that. Position and counts are saved in each batch's own transaction, so a crash
    loses at most the batch at work, which PostgreSQL rolls back.
    """
    pace = _Pace(sweep.sizes)
    done = 0
    for start, until in _laps(connection, record.policy):
        position = start
        while True:
            if (reason := stop()) is not None:
                return reason
            batch = _one_batch(connection, sweep, record, pace, (position, until))
            done += batch.removed
            if pace.time_to_report():
                report(f"{record.policy}: {done:,} rows removed so far")
            position = batch.position
            if position is None:
                break
    connection.execute(sql.get("history/clear_position"), {"policy": record.policy})
    return COMPLETED


def _laps(connection: Connection, policy: str) -> list[tuple[Position | None, Position | None]]:
    saved = connection.execute(sql.get("history/load_position"), {"policy": policy}).fetchone()
    return [(None, None)] if saved is None else [(saved[0], None), (None, saved[0])]


def _one_batch(
    connection: Connection,
    sweep: Sweep,
    record: Record,
    pace: "_Pace",
    bounds: tuple[Position | None, Position | None],
) -> Batch:
    for pause in (0.2, 0.4):
        try:
            return _try(connection, sweep, record, pace, bounds, skip_locked=False)
        except BLOCKED:
            pace.halve()
            time.sleep(pause)
    # What is locked all the time must not keep the rows behind it.
    return _try(connection, sweep, record, pace, bounds, skip_locked=True)


def _try(
    connection: Connection,
    sweep: Sweep,
    record: Record,
    pace: "_Pace",
    bounds: tuple[Position | None, Position | None],
    *,
    skip_locked: bool,
) -> Batch:
    began = time.monotonic()
    with connection.transaction():
        batch = sweep.batch(*bounds, pace.size, skip_locked=skip_locked)
        record.add(connection, batch.examined, batch.removed)
        if batch.position is not None:
            _save(connection, record.policy, batch.position)
    pace.fit(time.monotonic() - began)
    return batch


def _save(connection: Connection, policy: str, position: Position) -> None:
    values = {"policy": policy, "position": Jsonb(position)}
    connection.execute(sql.get("history/save_position"), values)


class _Pace:
    """Fits the size of the next window to how long the last one took."""

    def __init__(self, sizes: Sizes) -> None:
        self.size = sizes.first
        self._sizes = sizes
        self._reported = time.monotonic()

    def fit(self, seconds: float) -> None:
        factor = min(2.0, max(0.5, TARGET_SECONDS / max(seconds, 1e-6)))
        self.size = max(self._sizes.least, min(self._sizes.most, round(self.size * factor)))

    def halve(self) -> None:
        self.size = max(self._sizes.least, self.size // 2)

    def time_to_report(self, every: float = 2.0) -> bool:
        now = time.monotonic()
        due = now - self._reported >= every
        if due:
            self._reported = now
        return due

"""A table swept window by window: a transaction each, its place kept, its size fitted to a time."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import psycopg

import sql
from ops_pipeline.maintenance.batches.actions import Action, BatchLimits
from ops_pipeline.maintenance.batches.scans import Position, Scan, ScanRange
from ops_pipeline.maintenance.history import Record
from ops_pipeline.maintenance.result import COMPLETED
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.throttle.batch_size import BatchSize
from ops_pipeline.throttle.limits import Throttle

FIRST_WAIT_SECONDS = 0.05
"""How long a batch waits for somebody's lock before it passes over what is locked."""
SECOND_WAIT_SECONDS = 1.0
"""How long the second visit waits; it comes when everything else is done."""

BLOCKED = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)
"""Somebody else's lock was in the way; the batch is rolled back and may be tried again."""

Stop = Callable[[], str | None]
"""Asked before each batch: None to go on, or the reason to stop."""

Report = Callable[[str], None]
"""Told in words how the work goes."""


@dataclass(frozen=True, slots=True)
class Run:
    """A policy's run, as those see it who do its work.

    `planned`: about how many rows are to go, for telling how much time is left.
    """

    connection: Connection
    record: Record
    throttle: Throttle
    stop: Stop
    report: Report
    planned: int = 0

    def asked_to_stop(self) -> str | None:
        """To be asked between any two transactions: why the run should end, or None. Waits here while the
        database's other users need it."""
        if (reason := self.stop()) is not None:
            return reason
        paused = self.throttle.paused_seconds
        reason = self.throttle.wait(self.connection, self.stop)
        if self.throttle.paused_seconds > paused:
            self.record.note_pauses(self.connection, self.throttle.as_json())
        return reason


@dataclass(slots=True)
class Batches:
    """One walk through a table, removing what may go. `work_through` does all of it.

    `deed`: what is done to the rows, for the report. `once`: what lies behind the place kept was done for
    good, and is not looked at again by a sweep that goes on.
    """

    run: Run
    walk: Scan
    remover: Action
    pace: BatchSize
    deed: str = "removed"
    once: bool = False
    removed: int = 0
    _locked: list[ScanRange] = field(default_factory=list)
    _began: float = field(default_factory=time.monotonic)
    _reported: float = field(default_factory=time.monotonic)

    def work_through(self) -> str:
        """Walks the whole table and says why it ended: COMPLETED, or the reason to stop.

        A sweep that stopped before its end, for whatever reason, goes on where it stopped and then does
        the part before that. Position and counts are saved in each batch's own transaction, so a crash
        loses at most the batch at work, which PostgreSQL rolls back. Where rows were locked, the window is
        done without them and visited once more at the end.
        """
        for after, until in self._laps():
            position = after
            while True:
                if (reason := self.run.asked_to_stop()) is not None:
                    return reason
                window = self.walk.window(position, until, self.pace.size)
                if window is None:
                    break
                if not self._remove(window):
                    continue  # the same place again, in a smaller piece
                position = window.position
        for window in self._locked:
            if (reason := self.run.asked_to_stop()) is not None:
                return reason
            self._visit_again(window)
        self.run.connection.execute(
            sql.get("maintenance/batches/clear_position"), {"policy": self.run.record.policy}
        )
        return COMPLETED

    def _laps(self) -> list[tuple[Position | None, Position | None]]:
        values = {"policy": self.run.record.policy, "walk": self.walk.name}
        saved = self.run.connection.execute(sql.get("maintenance/batches/load_position"), values).fetchone()
        if saved is None:
            return [(None, None)]
        return [(saved[0], None)] if self.once else [(saved[0], None), (None, saved[0])]

    def _remove(self, window: ScanRange) -> bool:
        """Removes the window; False when it took too long and nothing was done."""
        began = time.monotonic()
        try:
            self.removed += self.remover.remove(window, self._terms())
        except BLOCKED:
            self._locked.append(window)
            self._remove_what_is_free(window)
        except psycopg.errors.QueryCanceled:
            # An operator's cancel has the same SQLSTATE; it comes before the time is over.
            if self.pace.at_its_least or time.monotonic() - began < self.pace.limit_seconds:
                raise
            self.pace.halve()
            return False
        self.pace.fit(time.monotonic() - began)
        self._tell()
        return True

    def _remove_what_is_free(self, window: ScanRange) -> None:
        # PostgreSQL passes over locked rows three to five times more slowly: only where there are any.
        with suppress(*BLOCKED):  # by a lock on the table, or on a row that a cascade would take
            self.removed += self.remover.remove(window, self._terms(skip_locked=True))

    def _visit_again(self, window: ScanRange) -> None:
        terms = BatchLimits(SECOND_WAIT_SECONDS, self.pace.limit_seconds)
        try:
            self.removed += self.remover.remove(window, terms)
        except BLOCKED:
            self.run.report(
                f"{self.run.record.policy}: rows of {window.heap} are still locked by others; "
                "they are kept, and the next run tries again"
            )

    def _terms(self, *, skip_locked: bool = False) -> BatchLimits:
        limit = self.pace.limit_seconds
        return BatchLimits(FIRST_WAIT_SECONDS, limit, skip_locked=skip_locked, walk=self.walk.name)

    def _tell(self, every: float = 2.0) -> None:
        now = time.monotonic()
        if now - self._reported < every:
            return
        self._reported = now
        rate = self.removed / max(now - self._began, 1e-6)
        left = max(0, self.run.planned - self.removed)
        time_left = f", about {left / rate:,.0f} s left" if rate and self.run.planned else ""
        self.run.report(
            f"{self.run.record.policy}: {self.removed:,} rows {self.deed} so far, "
            f"{rate:,.0f} a second{time_left}"
        )

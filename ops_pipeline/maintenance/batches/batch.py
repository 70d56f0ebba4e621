"""A table swept batch by batch: a transaction each, its position kept, its size fitted to a time."""

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
from ops_pipeline.storage.storage import StorageTooSlowError
from ops_pipeline.throttle.batch_size import BatchSize
from ops_pipeline.throttle.limits import Throttle

FIRST_WAIT_SECONDS = 0.05
"""How long a batch waits for another session's lock before it passes over what is locked."""
SECOND_WAIT_SECONDS = 1.0
"""How long the second visit waits; it comes when everything else is done."""

BLOCKED = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)
"""Another session's lock was in the way; the batch is rolled back and may be tried again."""

STORAGE_TRIES = 3
"""So many batches in a row, each half the size of the one before, may find the storage too slow."""

REPORT_SECONDS = 2.0
"""How often a person is told how the work goes."""

Stop = Callable[[], str | None]
"""Asked before each batch: None to go on, or the reason to stop."""

Report = Callable[[str], None]
"""Told in words how the work goes."""


@dataclass(frozen=True, slots=True)
class PolicyRun:
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
            self.record.save_pauses(self.connection, self.throttle.as_json())
        return reason


@dataclass(slots=True)
class Batches:
    """One scan of a table, removing what may go. `work_through` does all of it.

    `verb`: what is done to the rows, for the report. `once`: what lies behind the saved position was
    done for good, and is not scanned again by a run that goes on.
    """

    run: PolicyRun
    scan: Scan
    action: Action
    batch_size: BatchSize
    verb: str = "removed"
    once: bool = False
    removed: int = 0
    _too_slow: int = 0
    _locked: list[ScanRange] = field(default_factory=list)
    _began: float = field(default_factory=time.monotonic)
    _reported: float = field(default_factory=time.monotonic)

    def work_through(self) -> str:
        """Scans the whole table and says why it ended: COMPLETED, or the reason to stop.

        A scan that stopped before its end, for whatever reason, goes on where it stopped and then does
        the part before that. Position and counts are saved in each batch's own transaction, so a crash
        loses at most the batch at work, which PostgreSQL rolls back. Where rows were locked, the range is
        done without them and visited once more at the end.
        """
        for after, until in self._laps():
            position = after
            while True:
                if (reason := self.run.asked_to_stop()) is not None:
                    return reason
                scan_range = self.scan.next_range(position, until, self.batch_size.size)
                if scan_range is None:
                    break
                if self._remove(scan_range):  # else the same position again, in a smaller batch
                    position = scan_range.position
        for scan_range in self._locked:
            if (reason := self.run.asked_to_stop()) is not None:
                return reason
            self._visit_again(scan_range)
        self.run.connection.execute(
            sql.get("maintenance/batches/clear_position"), {"policy": self.run.record.policy}
        )
        return COMPLETED

    def _laps(self) -> list[tuple[Position | None, Position | None]]:
        position = saved_position(self.run, self.scan)
        if position is None:
            return [(None, None)]
        return [(position, None)] if self.once else [(position, None), (None, position)]

    def _remove(self, scan_range: ScanRange) -> bool:
        """Removes the range; False when it took too long and nothing was done."""
        began = time.monotonic()
        try:
            self._remove_all_or_what_is_free(scan_range)
        except psycopg.errors.QueryCanceled:
            # An operator's cancel has the same SQLSTATE; it comes before the time is over.
            if self.batch_size.at_its_least or time.monotonic() - began < self.batch_size.limit_seconds:
                raise
            self.batch_size.halve()
            return False
        except StorageTooSlowError as error:
            self._too_slow += 1
            if self._too_slow == STORAGE_TRIES:
                raise StorageTooSlowError(f"{error} ({STORAGE_TRIES} batches in a row)") from error
            self.run.report(f"{error}. Trying a smaller batch")
            self.batch_size.halve()
            return False
        self._too_slow = 0
        self.batch_size.fit(time.monotonic() - began)
        self._report_progress()
        return True

    def _remove_all_or_what_is_free(self, scan_range: ScanRange) -> None:
        try:
            self.removed += self.action.remove(scan_range, self._limits())
        except BLOCKED:
            self._remove_what_is_free(scan_range)
            self._locked.append(scan_range)

    def _remove_what_is_free(self, scan_range: ScanRange) -> None:
        # PostgreSQL passes over locked rows three to five times more slowly: only where there are any.
        # By a lock on the table, or on a row that a cascade would take; and rows cannot be passed over one by
        # one without the right to UPDATE some column: the second visit waits for them.
        with suppress(*BLOCKED, psycopg.errors.InsufficientPrivilege):
            self.removed += self.action.remove(scan_range, self._limits(skip_locked=True))

    def _visit_again(self, scan_range: ScanRange) -> None:
        limits = BatchLimits(SECOND_WAIT_SECONDS, self.batch_size.limit_seconds)
        try:
            self.removed += self.action.remove(scan_range, limits)
        except BLOCKED:
            self.run.report(
                f"{self.run.record.policy}: rows of {scan_range.heap} are still locked by others; "
                "they are kept, and the next run tries again"
            )

    def _limits(self, *, skip_locked: bool = False) -> BatchLimits:
        return BatchLimits(FIRST_WAIT_SECONDS, self.batch_size.limit_seconds, skip_locked, self.scan.name)

    def _report_progress(self) -> None:
        now = time.monotonic()
        if now - self._reported < REPORT_SECONDS:
            return
        self._reported = now
        rate = self.removed / max(now - self._began, 1e-6)
        left = max(0, self.run.planned - self.removed)
        time_left = f", about {left / rate:,.0f} s left" if rate and self.run.planned else ""
        self.run.report(
            f"{self.run.record.policy}: {self.removed:,} rows {self.verb} so far, "
            f"{rate:,.0f} a second{time_left}"
        )


def saved_position(run: PolicyRun, scan: Scan) -> Position | None:
    """Where an earlier run of the policy stopped before the end of that scan; None where none did."""
    values = {"policy": run.record.policy, "scan": scan.name}
    saved = run.connection.execute(sql.get("maintenance/batches/load_position"), values).fetchone()
    return saved[0] if saved else None

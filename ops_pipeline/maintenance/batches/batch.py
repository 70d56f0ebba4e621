"""Scans a table in batches: each is one transaction, sized by time, that saves the position reached."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import psycopg

import sql
from ops_pipeline.counted import counted
from ops_pipeline.maintenance.batches.actions import Action, BatchLimits
from ops_pipeline.maintenance.batches.scans import Position, Scan, ScanRange
from ops_pipeline.maintenance.history import Record
from ops_pipeline.maintenance.result import COMPLETED
from ops_pipeline.opsctl import opsctl
from ops_pipeline.pauses.watch import PauseWatch
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.storage.storage import StorageTooSlowError
from ops_pipeline.throttle.batch_size import BatchSize
from ops_pipeline.throttle.limits import REPORT_AFTER_SECONDS, Throttle

FIRST_WAIT_SECONDS = 0.05
"""How long a batch waits for another session's lock before it skips the locked rows."""
SECOND_WAIT_SECONDS = 1.0
"""How long the second visit waits; it comes when everything else is done."""

BLOCKED = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)
"""Another session's lock blocked the batch, which is rolled back and may be tried again."""

STORAGE_TRIES = 3
"""After this many batches in a row, each half the size of the one before, a slow storage is an error."""

REPORT_SECONDS = 2.0
"""How often progress is reported."""

Stop = Callable[[], str | None]
"""Called before each batch: returns None to continue, or the reason to stop."""

Report = Callable[[str], None]
"""Called with a line of progress for people."""


@dataclass(frozen=True, slots=True)
class PolicyRun:
    """A policy's run, as the code that does its work sees it.

    `planned`: about how many rows will be deleted, for estimating the remaining time.
    """

    connection: Connection
    record: Record
    throttle: Throttle
    pause: PauseWatch
    stop: Stop
    report: Report
    planned: int = 0

    def stopped(self) -> str | None:
        """Why the run should end, or None: it was asked to stop, or maintenance of its database is paused."""
        return self.stop() or self.pause.reason()

    def asked_to_stop(self) -> str | None:
        """Why the run should end, or None. Call it between any two transactions: while other sessions need
        the database it waits here (throttle)."""
        if (reason := self.stopped()) is not None:
            return reason
        before = self.throttle.seconds
        reason = self.throttle.wait(self.connection, self.stopped)
        if (seconds := self.throttle.seconds - before) > 0:
            self.record.save_throttle_ended(self.connection, self.throttle.as_json())
        if seconds >= REPORT_AFTER_SECONDS and reason is None:
            self.report(f"{self.record.policy}: continues, after it was throttled for {seconds:.0f} s")
        return reason


@dataclass(slots=True)
class Batches:
    """One scan of a table that removes its deletable rows. `work_through` does all of it.

    `verb`: what is done to the rows, for the report. `once`: what lies before the saved position is done,
    and a run that continues does not scan it again.
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
        """Scans the whole table and returns why it ended: COMPLETED, or the reason to stop.

        A scan that stopped early continues where it stopped and then does the ranges before that. Position
        and counts are saved in each batch's own transaction, so a crash loses at most the current batch,
        which PostgreSQL rolls back. Where rows are locked, the range is done without them and visited once
        more at the end.
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
        """Removes the range. Returns False when it took too long and nothing was done."""
        began = time.monotonic()
        try:
            self._remove_all_or_what_is_free(scan_range)
        except psycopg.errors.QueryCanceled:
            # An operator's cancel has the same SQLSTATE, but comes before the timeout.
            if self.batch_size.at_its_least or time.monotonic() - began < self.batch_size.limit_seconds:
                raise
            self.batch_size.halve()
            return False
        except StorageTooSlowError as error:
            self._too_slow += 1
            if self._too_slow == STORAGE_TRIES:
                raise StorageTooSlowError(f"{error} ({STORAGE_TRIES} batches in a row)") from error
            self.run.report(f"{error}. Trying again with a smaller batch")
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
        # SKIP LOCKED is three to five times slower, so it is used only where rows are locked. It does not
        # help against a lock on the table or on a row that a cascade deletes, and it needs UPDATE on some
        # column; in those cases the second visit waits for the rows.
        with suppress(*BLOCKED, psycopg.errors.InsufficientPrivilege):
            self.removed += self.action.remove(scan_range, self._limits(skip_locked=True))

    def _visit_again(self, scan_range: ScanRange) -> None:
        limits = BatchLimits(SECOND_WAIT_SECONDS, self.batch_size.limit_seconds)
        try:
            self.removed += self.action.remove(scan_range, limits)
        except BLOCKED:
            run = opsctl("run", policies=[self.run.record.policy])
            self.run.report(
                f"{self.run.record.policy}: rows of {scan_range.heap} are still locked by other sessions. "
                f"They were not deleted; the next run deletes them. To delete them now: {run}"
            )

    def _limits(self, *, skip_locked: bool = False) -> BatchLimits:
        return BatchLimits(FIRST_WAIT_SECONDS, self.batch_size.limit_seconds, skip_locked, self.scan.name)

    def _report_progress(self) -> None:
        now = time.monotonic()
        if now - self._reported < REPORT_SECONDS:
            return
        self._reported = now
        rate = self.removed / max(now - self._began, 1e-6)
        remaining = max(0, self.run.planned - self.removed)
        time_left = f", about {remaining / rate:,.0f} s remaining" if rate and self.run.planned else ""
        self.run.report(
            f"{self.run.record.policy}: {counted(self.removed, 'row')} {self.verb}, "
            f"{rate:,.0f} rows/s{time_left}"
        )


def saved_position(run: PolicyRun, scan: Scan) -> Position | None:
    """The position where an earlier run of the policy stopped in that scan; None where the scan ended."""
    values = {"policy": run.record.policy, "scan": scan.name}
    saved = run.connection.execute(sql.get("maintenance/batches/load_position"), values).fetchone()
    return saved[0] if saved else None

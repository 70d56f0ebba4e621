"""Reports the progress of VACUUM and REINDEX, over a second connection while the first one is busy."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace

import psycopg
from psycopg.types.json import Jsonb

import sql
from ops_pipeline.maintenance.batches.batch import Report
from ops_pipeline.maintenance.history import Record
from ops_pipeline.postgres.connection import Connection, DatabaseUnavailableError, connect, url_of

ASK_SECONDS = 0.5
REPORT_SECONDS = 5.0
NEW_NAMES_SINCE = 170000
"""PostgreSQL 17 renamed columns of pg_stat_progress_vacuum and counts processed indexes."""


@dataclass(frozen=True, slots=True)
class VacuumProgress:
    """A running VACUUM or REINDEX. Blocks are those of the table's heap; indexes are None before
    PostgreSQL 17. In phases of REINDEX that count rows, blocks are rows.

    `seconds_remaining`: until the phase ends, at its speed so far; None where unknown. It does not include
    passes over the indexes, whose progress PostgreSQL does not report.
    """

    table: str
    phase: str
    blocks: int
    scanned: int
    vacuumed: int
    index_passes: int
    indexes: int | None
    indexes_done: int | None
    seconds_remaining: float | None = None

    @property
    def share(self) -> float:
        """The share of the heap that has been scanned."""
        return self.scanned / self.blocks if self.blocks else 0.0

    @property
    def phase_share(self) -> float | None:
        """The share of the phase that is done; None where PostgreSQL does not report it."""
        match self.phase:
            case "scanning heap":
                return self.share
            case "vacuuming heap":
                return self.vacuumed / self.blocks if self.blocks else None
            case "vacuuming indexes" | "cleaning up indexes" if self.indexes:
                return (self.indexes_done or 0) / self.indexes
            case _:
                return None

    def __str__(self) -> str:
        if self.phase.startswith("REINDEX"):
            return f"{self.table}: {self.phase}{f', {self.share:.0%} done' if self.blocks else ''}"
        indexes = f", {self.indexes_done} of {self.indexes} indexes" if self.indexes else ""
        seconds = self.seconds_remaining
        remaining = "" if seconds is None else f", about {seconds:,.0f} s remaining in this phase"
        return f"{self.table}: {self.phase}, {self.share:.0%} of the table scanned{indexes}{remaining}"


@contextmanager
def watched(connection: Connection, record: Record, report: Report) -> Iterator[None]:
    """Inside the context, reports this session's progress of VACUUM and saves it in the run's details.

    It opens one more connection, but not for work that takes less than ASK_SECONDS. If the connection fails,
    that is reported and the work continues without progress.
    """
    ended = threading.Event()
    watcher = threading.Thread(
        target=_watch,
        args=(url_of(connection), connection.info.backend_pid, record, report, ended),
        name="progress of VACUUM",
        daemon=True,
    )
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def session_progress(connection: Connection, pid: int) -> VacuumProgress | None:
    """The progress of that session's VACUUM or REINDEX; None when it runs none now."""
    new = connection.info.server_version >= NEW_NAMES_SINCE
    for name in ("progress_17" if new else "progress_15", "progress_index"):
        progress = connection.execute(sql.get(f"maintenance/vacuum/{name}"), {"pid": pid}).fetchone()
        if progress:
            return VacuumProgress(*progress)
    return None


class PhaseEstimate:
    """Estimates the remaining time of a phase from its speed since it was first seen."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._phase = ("", "", 0)
        self._began = (0.0, 0.0)

    def with_time_left(self, progress: VacuumProgress) -> VacuumProgress:
        """The progress with the phase's remaining time, from the second observation of a phase on."""
        share, now = progress.phase_share, self._clock()
        if share is None:
            return progress
        phase = (progress.table, progress.phase, progress.index_passes)
        if phase != self._phase:
            self._phase, self._began = phase, (share, now)
            return progress
        first_share, began = self._began
        if share <= first_share or now <= began:
            return progress
        return replace(progress, seconds_remaining=(1 - share) * (now - began) / (share - first_share))


def _watch(url: str, pid: int, record: Record, report: Report, ended: threading.Event) -> None:
    if ended.wait(ASK_SECONDS):
        return
    try:
        with connect(url, "ops progress of VACUUM") as connection:
            _follow(connection, pid, record, report, ended)
    except DatabaseUnavailableError as error:
        report(f"{record.policy}: cannot report the progress of VACUUM, which continues: {error}")
    except psycopg.Error as error:
        report(f"{record.policy}: can no longer report the progress of VACUUM, which continues: {error}")


def _follow(connection: Connection, pid: int, record: Record, report: Report, ended: threading.Event) -> None:
    estimate = PhaseEstimate()
    reported = time.monotonic()
    connection.execute(sql.get("maintenance/vacuum/without_flush"))
    while not ended.wait(ASK_SECONDS):
        current = session_progress(connection, pid)
        if current is None:
            continue
        progress = estimate.with_time_left(current)
        _save(connection, record, progress)
        if time.monotonic() - reported >= REPORT_SECONDS:
            reported = time.monotonic()
            report(f"{record.policy}: {progress}")


def _save(connection: Connection, record: Record, progress: VacuumProgress) -> None:
    content = {**asdict(progress), "share": round(progress.share, 4), "text": str(progress)}
    values = {"id": record.id, "progress": Jsonb(content)}
    connection.execute(sql.get("maintenance/vacuum/save_progress"), values)

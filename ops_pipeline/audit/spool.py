"""A queue of lines on disk: bounded, ordered, and durable across crashes of the process or the machine."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

FILE = "spool.sqlite3"
OPEN = """
PRAGMA locking_mode = EXCLUSIVE;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS lines (number INTEGER PRIMARY KEY AUTOINCREMENT, line BLOB NOT NULL);
"""
APPEND = "INSERT INTO lines (line) VALUES (?)"
# At most 500 lines, and none that begins after the first MiB: a batch that the API stores quickly.
OLDEST = """
SELECT number, line
FROM (
  SELECT number, line, sum(length(line)) OVER (ORDER BY number) - length(line) AS bytes_before
  FROM (SELECT number, line FROM lines ORDER BY number LIMIT 500)
)
WHERE bytes_before < 1048576
"""
REMOVE = "DELETE FROM lines WHERE number <= ?"
SIZE = "SELECT coalesce(sum(length(line)), 0) FROM lines"
FLUSH = "PRAGMA wal_checkpoint(FULL)"


class SpoolFullError(Exception):
    """The spool is full: the line was not accepted; its lines are kept."""


class SpoolInUseError(Exception):
    """Another process uses that folder."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The oldest lines of a spool, up to and including number `last`."""

    last: int
    lines: list[bytes]


class Spool:
    """Lines in an SQLite file, sent oldest first.

    `append` returns once the operating system has the line, so that it survives a crash of the process;
    `oldest` syncs all lines to disk, so that they survive a power failure. Threads may share a spool,
    processes cannot: opening it a second time raises SpoolInUseError. Every method raises OSError on a disk
    error.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._most_bytes = most_bytes
        self._mutex = threading.Lock()
        (folder / FILE).touch(mode=0o600)
        self._database = sqlite3.connect(
            folder / FILE, timeout=0, isolation_level=None, check_same_thread=False
        )
        try:
            with _disk_errors():
                self._database.executescript(OPEN)
                self._bytes: int = self._database.execute(SIZE).fetchone()[0]
        except OSError as error:
            self._database.close()
            if getattr(error.__cause__, "sqlite_errorcode", None) != sqlite3.SQLITE_BUSY:
                raise
            raise SpoolInUseError(
                f"{folder} is in use by another process; use one folder for each process"
            ) from None

    def append(self, line: bytes) -> None:
        """Adds a line. Raises SpoolFullError."""
        with self._mutex, _disk_errors():
            if self._bytes + len(line) > self._most_bytes:
                raise SpoolFullError(
                    f"{self._folder} is full: {self._bytes:,} of {self._most_bytes:,} bytes wait to be sent"
                )
            self._database.execute(APPEND, [line])
            self._bytes += len(line)

    def oldest(self) -> Batch | None:
        """The batch to send next; None when all lines were sent."""
        with self._mutex, _disk_errors():
            self._database.execute(FLUSH)
            rows = self._database.execute(OLDEST).fetchall()
        return Batch(rows[-1][0], [line for _, line in rows]) if rows else None

    def remove(self, batch: Batch) -> None:
        """Deletes the lines of a batch that was delivered."""
        with self._mutex, _disk_errors():
            self._database.execute(REMOVE, [batch.last])
            self._bytes -= sum(map(len, batch.lines))

    def empty(self) -> bool:
        """Whether no line waits."""
        with self._mutex:
            return self._bytes == 0

    def close(self) -> None:
        """Syncs the lines and releases the folder for other processes."""
        with self._mutex, _disk_errors():
            self._database.close()


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise OSError(f"the audit spool cannot be used: {error}") from error

"""Lines on disk that wait to be sent: bounded, and complete after the process or the machine died."""

import errno
import fcntl
import os
import threading
from pathlib import Path

SEGMENT_LINES = 500
SEGMENT_BYTES = 1024 * 1024


class SpoolFullError(Exception):
    """The spool has no room, so the line was not taken; what is in it is kept."""


class SpoolInUseError(Exception):
    """Another process works with that folder."""


class Spool:
    """A folder of segments: files of whole lines, written at the newest and sent from the oldest.

    `append` returns once the operating system has the line, so that it outlives this process; `seal` and
    every full segment are flushed to the disk, so that they outlive the machine's power. Threads may share
    a spool, processes may not: opening it a second time raises SpoolInUseError.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._most_bytes = most_bytes
        self._in_use = _lock(folder / "lock")
        self._mutex = threading.Lock()
        self._sealed = sorted(folder.glob("[0-9]*.ndjson"))
        self._bytes = sum(segment.stat().st_size for segment in self._sealed)
        self._number = int(self._sealed[-1].stem) if self._sealed else 0
        self._open: int | None = None
        self._lines = self._written = 0

    def append(self, line: bytes) -> None:
        """Takes a line without its end. Raises SpoolFullError, or OSError when the disk refuses."""
        line += b"\n"
        with self._mutex:
            if self._bytes + len(line) > self._most_bytes:
                raise SpoolFullError(
                    f"{self._folder} holds {self._bytes:,} of {self._most_bytes:,} bytes that wait to be sent"
                )
            if self._open is None:
                self._number += 1
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
                self._open = os.open(self._path(), flags, 0o600)
            self._write(self._open, line)
            if self._lines >= SEGMENT_LINES or self._written >= SEGMENT_BYTES:
                self._seal()

    def oldest(self) -> Path | None:
        """The segment to send next, whole and flushed to the disk; None when all was sent."""
        with self._mutex:
            if not self._sealed:
                self._seal()
            return self._sealed[0] if self._sealed else None

    def remove(self, segment: Path) -> None:
        """Forgets the oldest segment: its lines have arrived."""
        with self._mutex:
            self._bytes -= segment.stat().st_size
            segment.unlink()
            self._sealed.remove(segment)

    def empty(self) -> bool:
        """Whether nothing waits."""
        with self._mutex:
            return not self._sealed and self._open is None

    def close(self) -> None:
        """Flushes what is written and lets another process have the folder."""
        with self._mutex:
            self._seal()
            os.close(self._in_use)

    def _write(self, file: int, line: bytes) -> None:
        try:
            _write_whole(file, line)
        except OSError:
            os.ftruncate(file, self._written)  # what was not taken must not be sent
            raise
        self._lines += 1
        self._written += len(line)
        self._bytes += len(line)

    def _seal(self) -> None:
        if self._open is None:
            return
        os.fsync(self._open)
        os.close(self._open)
        _flush_names(self._folder)
        self._sealed.append(self._path())
        self._open = None
        self._lines = self._written = 0

    def _path(self) -> Path:
        return self._folder / f"{self._number:020}.ndjson"


def whole_lines(segment: Path) -> list[bytes]:
    """The lines of a segment. A last one without its end was cut off by a crash, before it was taken."""
    return segment.read_bytes().split(b"\n")[:-1]


def _write_whole(file: int, line: bytes) -> None:
    written = os.write(file, line)
    if written != len(line):
        raise OSError(errno.ENOSPC, "the disk has room for a part of the line only")


def _lock(path: Path) -> int:
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        raise SpoolInUseError(f"{path.parent} is in use by another process; give each its own") from None
    return file


def _flush_names(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)

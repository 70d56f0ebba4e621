"""Stores archived files in a local or mounted folder."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ops_pipeline.storage.storage import StorageError, StoredFile, within


class Folder:
    """Files below a folder. A write is fsynced, with the folders above it, before it returns."""

    def __init__(self, root: str) -> None:
        self._root = Path(root).absolute()
        self.name = str(self._root)

    def write(self, path: str, content: memoryview) -> None:
        target = self._at(path)
        with _storage_errors("write", target, missing=False):
            _make(target.parent)
            descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
            try:
                left = content
                while left:
                    left = left[os.write(descriptor, left) :]
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            _sync(target.parent)

    def read(self, path: str) -> bytes:
        source = self._at(path)
        with _storage_errors("read", source), source.open("rb", buffering=0) as file:
            # Drops the file's cached pages, so that it is read from the disk and not from memory.
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            return file.readall()

    def rename(self, source: str, target: str) -> None:
        with _storage_errors("rename", self._at(source)):
            _make(self._at(target).parent)
            self._at(source).replace(self._at(target))
            _sync(self._at(target).parent)

    def delete(self, path: str) -> None:
        with _storage_errors("delete", self._at(path)):
            self._at(path).unlink(missing_ok=True)

    def size(self, path: str) -> int | None:
        with _storage_errors("stat", self._at(path)):
            try:
                return self._at(path).stat().st_size
            except FileNotFoundError:
                return None

    def files(self, folder: str) -> Iterator[StoredFile]:
        with _storage_errors("list", self._at(folder)):
            for parent, _, names in os.walk(self._at(folder), onerror=_raise):
                for file in (Path(parent, name) for name in names):
                    try:
                        size = file.lstat().st_size  # a broken symbolic link counts as a file
                    except FileNotFoundError:
                        continue  # renamed meanwhile
                    yield StoredFile(file.relative_to(self._root).as_posix(), size)

    def _at(self, path: str) -> Path:
        return self._root / within(path)


def _make(folder: Path) -> None:
    """Creates the folder and those above it, each fsynced."""
    if folder.is_dir():
        return
    _make(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync(folder.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _raise(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


@contextmanager
def _storage_errors(what: str, path: Path, *, missing: bool = True) -> Iterator[None]:
    """`missing`: a missing file is an answer, FileNotFoundError, not a failure of the storage."""
    try:
        yield
    except OSError as error:
        if missing and isinstance(error, FileNotFoundError):
            raise
        advice = (
            "free space there, or move the folder and set OPS_ARCHIVE_URL"
            if error.errno in {errno.ENOSPC, errno.EDQUOT}
            else "OPS_ARCHIVE_URL must name a folder that this process may read and write"
        )
        raise StorageError(f"cannot {what} {path}: {error.strerror or error}; {advice}") from error

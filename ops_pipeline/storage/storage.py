"""Where archived files are: what a storage promises, and which one a URL means."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol


class StorageError(Exception):
    """The storage did not do what was asked; the message says what, where and why."""


class StorageTooSlowError(StorageError):
    """The storage had not done by a deadline what was asked; the message says what became of the rows."""


class StorageUrlError(ValueError):
    """OPS_ARCHIVE_URL cannot be used; the message says what would be right."""


UNSET = (
    "`archive: true` needs OPS_ARCHIVE_URL, which is not set. Set it to a folder that is kept, or a bucket: "
    "export OPS_ARCHIVE_URL=/srv/archive (or s3://bucket/prefix); if earlier runs have archived to "
    ".local/archive, to that folder: export OPS_ARCHIVE_URL=$PWD/.local/archive"
)


SCHEMES = ("file", "s3")


def problems(url: str | None, *, archive: bool) -> tuple[str, ...]:
    """Why a policy that archives, or not, is refused where OPS_ARCHIVE_URL is `url`; empty: it is not."""
    if not archive:
        return ()
    if url is None:
        return (UNSET,)
    scheme, separator, _ = url.partition("://")
    return (unknown(scheme),) if separator and scheme not in SCHEMES else ()


def unknown(scheme: str) -> str:
    """That no storage is known by the scheme, and what is."""
    return f"OPS_ARCHIVE_URL: {scheme}:// is not known; a folder's path or s3://bucket/prefix is needed"


def within(path: str) -> str:
    """The path, which leads to something below a storage's root; "" is the root itself.

    Paths come from tables that others may write. Raises StorageError for one that leads elsewhere.
    """
    if path and any(part in {"", ".", ".."} or "\\" in part for part in path.split("/")):
        raise StorageError(f"{path!r} is no path of the archive: it would lead out of it")
    return path


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file: its path below the storage's root, with `/`, and its size in bytes."""

    path: str
    size: int


class Storage(Protocol):
    """Files below one root, by their path from there.

    Every method raises StorageError when the storage cannot be reached or refuses.
    """

    name: str
    """For messages: the root, without credentials."""

    def write(self, path: str, content: memoryview) -> None:
        """Writes a new file. When this returns, the file outlives a loss of power."""

    def read(self, path: str) -> bytes:
        """The file's content as the storage has it, not as this machine remembers it where that can be had.
        Raises FileNotFoundError."""

    def rename(self, source: str, target: str) -> None:
        """Gives the file its other name, replacing what had it; lasting when this returns.
        Raises FileNotFoundError."""

    def delete(self, path: str) -> None:
        """Removes the file, if it is there."""

    def size(self, path: str) -> int | None:
        """Bytes of the file; None when there is none of that name."""

    def files(self, folder: str) -> Iterator[StoredFile]:
        """Every file below the folder; none when there is no such folder."""

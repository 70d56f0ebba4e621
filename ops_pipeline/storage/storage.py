"""What every storage of archived files provides, its errors, and the check of OPS_ARCHIVE_URL."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit


class StorageError(Exception):
    """A storage operation failed; the message says which, where and why."""


class StorageTooSlowError(StorageError):
    """A storage operation missed its deadline; the message says what happened to the rows."""


class StorageUrlError(ValueError):
    """OPS_ARCHIVE_URL is not set or invalid; the message says what is valid."""


UNSET = (
    "`archive: true` requires OPS_ARCHIVE_URL, which is not set. Set it to a permanent folder or a bucket: "
    "export OPS_ARCHIVE_URL=/srv/archive (or s3://bucket/prefix). If earlier runs have archived to "
    ".local/archive: export OPS_ARCHIVE_URL=$PWD/.local/archive"
)


SCHEMES = ("file", "s3")
VALID = "write an absolute path, such as /srv/archive, or s3://bucket/prefix"


def problems(url: str | None, *, archive: bool) -> tuple[str, ...]:
    """Why a policy with that `archive` setting is refused with that OPS_ARCHIVE_URL; empty: it is not."""
    if not archive:
        return ()
    problem = invalid(url)
    return () if problem is None else (problem,)


def invalid(url: str | None) -> str | None:
    """Why the value of OPS_ARCHIVE_URL cannot be used; None: it can. Quotes no more of it than its scheme."""
    if not url:
        return UNSET
    problem = _misread(url)
    return None if problem is None else f"OPS_ARCHIVE_URL: {problem}; {VALID}"


def _misread(url: str) -> str | None:
    scheme, separator, rest = url.partition("://")
    if not separator:
        prefix = re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", url)
        if prefix:  # s3:/bucket is a typo, not a folder
            return f"{prefix[0]} is not followed by //"
        # Relative to the working folder of each process, archived rows would be in several places.
        return None if url.startswith("/") else "the path is relative"
    if scheme not in SCHEMES:
        return f"{scheme}:// is not supported"
    if scheme == "file":
        return None if rest.startswith("/") else "file:// is not followed by an absolute path"
    return None if urlsplit(url).netloc.rpartition("@")[2] else "the bucket is missing"


def within(path: str) -> str:
    """The path, after checking that it is below the storage's root; "" is the root itself.

    Paths come from tables that other users may write. Raises StorageError for a path outside the root.
    """
    if path and any(part in {"", ".", ".."} or "\\" in part for part in path.split("/")):
        raise StorageError(f"{path!r} is not a path in the archive: it would lead outside")
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
    """The root, without credentials, for messages."""

    def write(self, path: str, content: memoryview) -> None:
        """Writes a new file. When this returns, the file survives a power failure."""

    def read(self, path: str) -> bytes:
        """The file's content, from the storage itself and not from this machine's cache where possible.
        Raises FileNotFoundError."""

    def rename(self, source: str, target: str) -> None:
        """Renames the file, replacing an existing one; durable when this returns.
        Raises FileNotFoundError."""

    def delete(self, path: str) -> None:
        """Deletes the file, if it exists."""

    def size(self, path: str) -> int | None:
        """The file's size in bytes; None when it does not exist."""

    def files(self, folder: str) -> Iterator[StoredFile]:
        """Every file below the folder; none when the folder does not exist."""

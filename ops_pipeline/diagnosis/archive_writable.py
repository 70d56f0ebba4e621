"""An archive in which no file can be written, read and deleted."""

import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from pkgutil import resolve_name
from uuid import uuid4

from ops_pipeline.diagnosis.diagnosis import Diagnosis, Installation, NotAskedError
from ops_pipeline.finding import Finding
from ops_pipeline.storage.filesystem import Folder
from ops_pipeline.storage.storage import Storage, StorageError, StorageUrlError, invalid

CONTENT = b"probe"


def _look(installation: Installation) -> Iterator[Finding]:
    url = valid_url(installation)
    folder = folder_of(url)
    if folder is not None and not folder.exists():
        yield from _look_above(folder)
        return
    try:
        if folder is not None:
            name = str(folder)
            probe(Folder(name))
        else:
            # By name: it needs Arrow, which a process that only loads the questions must not load.
            bucket: Storage = resolve_name("ops_pipeline.storage.location:storage")(url)
            name = bucket.name
            probe(bucket)
    except StorageUrlError as error:
        yield Finding("OPS_ARCHIVE_URL", str(error))
    except StorageError as error:
        who = "" if folder is None else f" This process runs as user {os.geteuid()}."
        yield Finding(name, f"{error}.{who} Policies that archive fail, and keep their rows")


def _look_above(folder: Path) -> Iterator[Finding]:
    """The first run creates the folder, if it can."""
    above = next(parent for parent in folder.parents if parent.exists())
    try:
        probe(Folder(str(above)))
    except StorageError as error:
        yield Finding(
            str(folder),
            f"the folder does not exist, and cannot be created ({error}). Mount it, or create it as the "
            f"folder of user {os.geteuid()}. As root",
            (f"install -d -o {os.geteuid()} -m 750 {shlex.quote(str(folder))}",),
        )
        return
    raise NotAskedError("the folder does not exist yet; the first run creates it")


def probe(storage: Storage) -> None:
    """Writes a file, durably, reads it back from the storage and deletes it. Raises StorageError."""
    path = f".probe-{uuid4().hex}"
    try:
        storage.write(path, memoryview(CONTENT))
        try:
            read = storage.read(path)
        except FileNotFoundError:
            raise StorageError(f"{storage.name} lost the file {path} right after it was written") from None
        if read != CONTENT:
            raise StorageError(f"{storage.name} returned another content of the file {path} than was written")
    finally:
        storage.delete(path)


def valid_url(installation: Installation) -> str:
    """OPS_ARCHIVE_URL. Raises NotAskedError where it is not set or invalid, which `archive_place` reports."""
    url = installation.settings.archive_url
    if not url:
        raise NotAskedError("OPS_ARCHIVE_URL is not set")
    if invalid(url) is not None:
        raise NotAskedError("OPS_ARCHIVE_URL is invalid")
    return url


def folder_of(url: str) -> Path | None:
    """The folder of an archive's valid URL; None for a bucket."""
    return None if url.startswith("s3://") else Path(url.removeprefix("file://"))


ARCHIVE_WRITABLE = Diagnosis(
    id="archive_writable",
    severity="error",
    question="Can a file be written to the archive, read and deleted?",
    remedy="Mount the folder, or create it; let the user that runs policies write to it; or "
    "correct the bucket's name, key or policy.",
    look=_look,
)

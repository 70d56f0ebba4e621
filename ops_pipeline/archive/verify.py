"""Verifies that archived files match what the database recorded. Loads Arrow.

This finds damage, and changes made to only one of the two. A user who can write to both the storage and the
database can change both.
"""

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ops_pipeline.archive import manifest
from ops_pipeline.archive.archive import Archive, without_a_copy
from ops_pipeline.archive.columns import DAY
from ops_pipeline.archive.files import manifest_path
from ops_pipeline.archive.manifest import ArchivedFile
from ops_pipeline.archive.staging import DamagedError, content
from ops_pipeline.audit import trail
from ops_pipeline.counted import counted
from ops_pipeline.opsctl import opsctl
from ops_pipeline.postgres.connection import Connection, database_of
from ops_pipeline.postgres.relation import our_table
from ops_pipeline.storage.storage import StorageError

MOST_LISTED = 20
"""How many problems the audit event lists; it counts all of them."""


@dataclass(frozen=True, slots=True)
class Verified:
    """The result: number of files read, their bytes, and a line for each problem; empty: no problem."""

    files: int
    bytes: int
    problems: tuple[str, ...]


def verify(
    connection: Connection,
    archive: Archive,
    *,
    sample: int | None = None,
    by: str,
    reason: str | None = None,
    report: Callable[[int, int], None] = lambda _done, _all: None,
) -> Verified:
    """Reads every file of the archive again and compares it with `ops.archives`: size, SHA-256, row count.

    `sample`: reads that many files chosen at random; None: all, and also looks for files that are not
    recorded. The result is recorded in `ops.archives` and, with the reason, in the audit log. `report` is
    called with the number of files done and of all files. Raises StorageError when the storage cannot be
    reached or has none of the files, ArchiveError and psycopg.Error; nothing is recorded then.
    """
    everything = manifest.all_files(connection)
    records = our_table("archives")
    which = f"that {records} records ({len(everything):,})"
    require_any(archive, everything, which, verify_again(connection))
    archive.publish_committed(connection, [file for file in everything if file.stored_at is None])
    chosen = everything
    if sample is not None and sample < len(everything):
        chosen = random.sample(everything, sample)
    problems = list(_damages(connection, archive, chosen, report))
    if sample is None:
        problems += _unknown(archive, everything)
    return _recorded(connection, chosen, problems, by, reason)


def verify_files(
    connection: Connection,
    archive: Archive,
    files: Sequence[ArchivedFile],
    *,
    by: str,
    reason: str | None = None,
) -> Verified:
    """Reads these files again, as `verify` does, and raises the same errors. The audit event has the
    reason."""
    of_those = f"of those that {our_table('archives')} records"
    which = f"that were looked for ({len(files):,} {of_those})"
    require_any(archive, files, which, verify_again(connection))
    archive.publish_committed(connection, [file for file in files if file.stored_at is None])
    problems = list(_damages(connection, archive, files, lambda _done, _all: None))
    return _recorded(connection, files, problems, by, reason)


def require_any(archive: Archive, files: Sequence[ArchivedFile], which: str, again: str) -> None:
    """Raises StorageError where the storage has none of the files: then it is probably the wrong storage.
    `again`: the command to run once that is corrected."""
    if files and not any(
        archive.storage.size(path) is not None for file in files for path in (file.path, file.temporary_path)
    ):
        raise StorageError(
            f"{archive.storage.name} has none of the files {which}, so it is probably not the storage "
            "they were written to. Nothing was recorded as damaged. Check OPS_ARCHIVE_URL and that the "
            f"storage is mounted, then: {again}"
        )


def _damages(
    connection: Connection,
    archive: Archive,
    files: Sequence[ArchivedFile],
    report: Callable[[int, int], None],
) -> Iterator[str]:
    for done, file in enumerate(files, start=1):
        try:
            content(archive.storage, file)
        except DamagedError as error:
            manifest.record_verified(connection, file, ok=False)
            yield (
                f"{error}. The file contained {counted(file.rows, 'row')} of {file.table}. Put it back from "
                f"a copy of the storage, then run `{verify_again(connection)}`. "
                f"{without_a_copy(connection, file.path)}"
            )
        else:
            manifest.record_verified(connection, file, ok=True)
        report(done, len(files))


def verify_again(connection: Connection) -> str:
    """The command that verifies all files of that database."""
    return opsctl("archive", "verify", database=database_of(connection))


def _unknown(archive: Archive, files: Sequence[ArchivedFile]) -> Iterator[str]:
    """Files in the archive's folders that are not recorded, and manifests that are missing."""
    missing = {manifest_path(file.path) for file in files}
    known = {file.path for file in files} | missing
    present = set()
    for entry in archive.storage.files(""):
        present.add(entry.path)
        name = entry.path.rpartition("/")[2]
        in_a_day = f"/{DAY}=" in entry.path and not name.startswith(".")
        if in_a_day and entry.path not in known and not _of_another(archive, entry.path):
            yield (
                f"{entry.path} in {archive.storage.name} is not recorded in {our_table('archives')}, but "
                "readers of the folder treat it as archived rows. Find out where it comes from and move it"
            )
    for path in sorted(missing - present):
        yield (
            f"{path}, the manifest beside an archived file, is missing from {archive.storage.name}. The "
            "archived rows are safe. Put it back from a copy of the storage"
        )


def _of_another(archive: Archive, path: str) -> bool:
    """Whether the file belongs to another database that archives into the same folder."""
    described = manifest_path(path) if path.endswith(".parquet") else path
    try:
        beside = json.loads(archive.storage.read(described))
    except (FileNotFoundError, ValueError):
        return False
    return isinstance(beside, dict) and beside.get("origin") not in {None, archive.origin}


def _recorded(
    connection: Connection,
    files: Sequence[ArchivedFile],
    problems: Sequence[str],
    by: str,
    reason: str | None = None,
) -> Verified:
    verified = Verified(len(files), sum(file.bytes for file in files), tuple(problems))
    details = {
        "files": verified.files,
        "bytes": verified.bytes,
        "problems": len(verified.problems),
        "first_problems": list(verified.problems[:MOST_LISTED]),
        **({"reason": reason} if reason else {}),
    }
    trail.record(
        connection,
        "archive.verified",
        details,
        by=by,
        status="failure" if verified.problems else "success",
    )
    return verified

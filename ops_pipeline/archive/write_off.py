"""Writes off archived files that are lost: the record of each is moved from the list to the audit log."""

from collections.abc import Sequence

import sql
from ops_pipeline.archive import manifest
from ops_pipeline.archive.archive import Archive
from ops_pipeline.archive.archive_error import ArchiveError
from ops_pipeline.archive.files import manifest_path
from ops_pipeline.archive.manifest import ArchivedFile
from ops_pipeline.archive.staging import DamagedError, content
from ops_pipeline.archive.verify import require_any
from ops_pipeline.audit import trail
from ops_pipeline.counted import counted
from ops_pipeline.opsctl import opsctl
from ops_pipeline.postgres.connection import Connection, database_of
from ops_pipeline.postgres.relation import our_table


def write_off(
    connection: Connection, archive: Archive, paths: Sequence[str], *, by: str, reason: str
) -> list[ArchivedFile]:
    """Deletes the records of these files, whose rows are then in no list any more; returns them.

    The audit log keeps what is known of each, with the reason. The manifest of a missing file is deleted
    from the storage, a damaged file is not. Raises ArchiveError, and writes off nothing,
    where a path is not recorded or its file can still be read; StorageError when the storage does not answer
    or has none of the other files either, so that it is probably the wrong one; and psycopg.Error: only the
    owner of `ops.archives` may delete from it.
    """
    files = manifest.by_path(connection, list(dict.fromkeys(paths)))
    unknown = sorted(set(paths) - {file.path for file in files})
    if unknown:
        to_list = opsctl("archive", "list", "--json", database=database_of(connection))
        raise ArchiveError(
            f"{unknown[0]} is not recorded; `{to_list}` shows the path of each file. Nothing was written off"
        )
    others = [file for file in manifest.all_files(connection) if file not in files]
    which = f"that {our_table('archives')} records besides these ({len(others):,})"
    database = database_of(connection)
    again = opsctl("archive", "write-off", *paths, "--reason", reason, database=database)
    require_any(archive, others, which, again)
    for file in files:
        if _can_be_read(archive, file):
            raise ArchiveError(f"{file.path} is intact, so nothing was written off")
    with connection.transaction():
        for file in files:
            connection.execute(sql.get("archive/write_off"), {"id": file.id})
            trail.record(connection, "archive.written_off", _known(file) | {"reason": reason}, by=by)
    for file in files:
        if archive.storage.size(file.path) is None:  # a damaged file is left to the operator
            archive.storage.delete(manifest_path(file.path))
    return files


def _can_be_read(archive: Archive, file: ArchivedFile) -> bool:
    try:
        content(archive.storage, file)
    except DamagedError:
        return False
    return True


def _known(file: ArchivedFile) -> dict[str, object]:
    return {
        "path": file.path,
        "table": file.table,
        "day": None if file.day is None else file.day.isoformat(),
        "rows": file.rows,
        "bytes": file.bytes,
        "sha256": file.sha256,
        "policy": file.policy,
        "in_words": f"{counted(file.rows, 'archived row')} of {file.table} can no longer be restored",
    }

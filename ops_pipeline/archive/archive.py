"""The archive of one database: writes, publishes and reconciles files of deleted rows.

The steps of a batch that archives and deletes, which may crash after any of them:

1. `write`: the rows are written to files with temporary names, synced, read back and compared.
2. In the deleting transaction `insert_statement` records the files in `ops.archives`.
3. COMMIT. From here on the files count: the rows exist only in them.
4. `publish`: each file gets its final name and a manifest file beside it; `stored_at` is set.

`reconcile` cleans up after a crash: a file recorded in `ops.archives` is published; any other was never
committed, its rows are still in the table, and it is deleted.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial

import psycopg
import pyarrow as pa

import sql
from ops_pipeline.archive import manifest
from ops_pipeline.archive.archive_error import ArchiveError
from ops_pipeline.archive.deadline import Deadline
from ops_pipeline.archive.files import ArchivedTable, WrittenFile, folder, manifest_path, temporary_prefix
from ops_pipeline.archive.manifest import ArchivedFile
from ops_pipeline.archive.workers import Workers
from ops_pipeline.archive.write import write_files
from ops_pipeline.counted import counted
from ops_pipeline.opsctl import opsctl
from ops_pipeline.postgres.connection import Connection, database_of, scalar
from ops_pipeline.storage.storage import Storage, StorageError

PUBLISHING_THREADS = 4


@dataclass(frozen=True, slots=True)
class Reconciled:
    """How many files of an earlier run were published, and deleted because their rows are in the table."""

    published: int
    deleted: int


def _today() -> date:
    return datetime.now(UTC).date()


class Archive:
    """Files of deleted rows on a storage, and their records in `ops.archives` of one database."""

    def __init__(self, storage: Storage, connection: Connection, today: Callable[[], date] = _today) -> None:
        """The connection must be in autocommit mode and its database migrated."""
        self.storage = storage
        self._connection = connection
        self.origin = str(scalar(connection, sql.get("archive/origin")))
        self._today = today

    def write(
        self, reader: pa.RecordBatchReader, source: ArchivedTable, deadline: Deadline | None = None
    ) -> list[WrittenFile]:
        """Archives every row of the reader, in the form that `columns.select_list` selects.

        When this returns, all rows are on the storage and were compared; the files do not count until
        `insert_statement` is committed. Raises ArchiveError, and StorageTooSlowError at the deadline; files
        that cannot be deleted by then are left to `reconcile`.
        """
        return write_files(self.storage, reader, source, self.origin, self._today(), deadline)

    def insert_statement(self, files: Sequence[WrittenFile]) -> str:
        """The statement to execute in the transaction that deletes the rows of these files."""
        return manifest.insert_statement(files)

    def publish(self, connection: Connection, files: Sequence[WrittenFile]) -> None:
        """Renames the files to their final names, after the transaction with `insert_statement` is committed.

        Raises ArchiveError; the rows are safe then, and `reconcile` finishes it.
        """
        self.publish_committed(connection, manifest.by_path(connection, [file.path for file in files]))

    def discard(self, files: Sequence[WrittenFile]) -> list[str]:
        """Deletes the files of a batch that was rolled back: its rows are still in their table.

        An interrupt may have come right after the commit, so files that are recorded in the database are
        kept. Do not call it after CommitUnknownError.

        Returns the files that could not be deleted; all of them when the database does not answer. Raises
        nothing, because it is called while another error is handled; `reconcile` deletes the rest.
        """
        try:
            known = {file.path for file in manifest.by_path(self._connection, [file.path for file in files])}
        except psycopg.Error:
            return [file.temporary_path for file in files]
        left = []
        for file in files:
            try:
                if file.path not in known:
                    self.storage.delete(file.temporary_path)
            except StorageError:
                left.append(file.temporary_path)
        return left

    def reconcile(self, connection: Connection, policy: str, schema: str, table: str) -> Reconciled:
        """Publishes or deletes the files that earlier runs of the policy left under temporary names.

        The caller has the policy's ArrowSession, which is exclusive, and has not written yet: so no
        transaction with one of these files can still be committed. Raises ArchiveError.
        """
        published = manifest.unstored(connection, policy)
        self.publish_committed(connection, published)
        prefix = temporary_prefix(self.origin, policy)
        try:
            left = [
                entry.path
                for entry in self.storage.files(folder(schema, table))
                if entry.path.rpartition("/")[2].startswith(prefix)
            ]
            for path in left:
                self.storage.delete(path)
        except StorageError as error:
            raise ArchiveError(
                f"{error}. Nothing was deleted from the table; the next run tries again"
            ) from error
        return Reconciled(len(published), len(left))

    def publish_committed(self, connection: Connection, files: Sequence[ArchivedFile]) -> None:
        """As `publish`, for files read from `ops.archives`. It may be called at any time."""
        if not files:
            return
        with Workers(PUBLISHING_THREADS, "archive-publish") as workers:
            for done in [workers.submit(partial(self._name, file)) for file in files]:
                try:
                    done.result()
                except StorageError as error:
                    raise ArchiveError(
                        f"{error}. The deleted rows are safe in the archive, one of their "
                        "files under its temporary name; the next run continues from here"
                    ) from error
        manifest.record_stored(connection, files)

    def _name(self, file: ArchivedFile) -> None:
        try:
            self.storage.rename(file.temporary_path, file.path)
        except FileNotFoundError:
            if self.storage.size(file.path) != file.bytes:
                raise self._lost(file) from None
        # A crash may have left a file with that name, even an incomplete one.
        self.storage.delete(manifest_path(file.path))
        self.storage.write(manifest_path(file.path), memoryview(manifest.description(file, self.origin)))

    def _lost(self, file: ArchivedFile) -> ArchiveError:
        return ArchiveError(
            f"{self.storage.name}/{file.path} is missing, and so is its temporary file "
            f"{file.temporary_path}. No other file has its {counted(file.rows, 'row')} of "
            f"{file.table}, deleted at {file.created_at:%Y-%m-%d %H:%M:%S} UTC. Put the file back from "
            f"a copy of the storage. {without_a_copy(self._connection, file.path)}"
        )


def without_a_copy(connection: Connection, path: str) -> str:
    """What to do about a lost file of which no copy exists; ends with a command."""
    write_off = opsctl(
        "archive", "write-off", path, "--reason", "file lost", database=database_of(connection)
    )
    return f"If no copy exists, write it off as the user that runs `opsctl migrate`: {write_off}"

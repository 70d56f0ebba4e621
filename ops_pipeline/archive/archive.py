"""The archive of one database: rows go in before they are deleted, and count once they are.

The protocol of a removal, whose every step may be the last before a crash:

1. `write`: the rows are files under temporary names, synced, read back and compared.
2. In the removal's own transaction `insert_statement` records the files in `ops.archives`.
3. COMMIT. From here on the files count: the rows are in them and nowhere else.
4. `publish`: each file gets its lasting name and a manifest file beside it; `stored_at` is set.

`reconcile` finishes what a crash left: a file that `ops.archives` knows is published; one that it does
not know was never committed, its rows are still in the table, and it is deleted.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial

import psycopg
import pyarrow as pa

import sql
from ops_pipeline.archive import manifest
from ops_pipeline.archive.deadline import Deadline
from ops_pipeline.archive.files import ArchivedTable, WrittenFile, folder, manifest_path, temporary_prefix
from ops_pipeline.archive.manifest import ArchivedFile
from ops_pipeline.archive.workers import Workers
from ops_pipeline.archive.write import ArchiveError, write_files
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.postgres.relation import our_table
from ops_pipeline.storage.storage import Storage, StorageError

PUBLISHING_THREADS = 4


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What an earlier run had left: files published now, and files deleted whose rows are in the table."""

    published: int
    deleted: int


def _today() -> date:
    return datetime.now(UTC).date()


class Archive:
    """Files of removed rows on a storage, and what `ops.archives` of one database says of them."""

    def __init__(self, storage: Storage, connection: Connection, today: Callable[[], date] = _today) -> None:
        """The connection is in autocommit mode, its database migrated."""
        self.storage = storage
        self._connection = connection
        self.origin = str(scalar(connection, sql.get("archive/origin")))
        self._today = today

    def write(
        self, reader: pa.RecordBatchReader, source: ArchivedTable, deadline: Deadline | None = None
    ) -> list[WrittenFile]:
        """Archives every row that the reader brings, as `columns.select_list` selects them.

        When this returns they are all on the storage and have been compared; nothing of it counts until
        `insert_statement` is committed. Raises ArchiveError, and StorageTooSlowError at the deadline; files
        that cannot be deleted by then are left to `reconcile`.
        """
        return write_files(self.storage, reader, source, self.origin, self._today(), deadline)

    def insert_statement(self, files: Sequence[WrittenFile]) -> str:
        """What to carry out in the transaction that removes the rows of these files."""
        return manifest.insert_statement(files)

    def publish(self, connection: Connection, files: Sequence[WrittenFile]) -> None:
        """Gives the files their lasting names. The transaction with `insert_statement` is committed.

        Raises ArchiveError; the rows are safe then, and `reconcile` does what is missing.
        """
        self.publish_committed(connection, manifest.by_path(connection, [file.path for file in files]))

    def discard(self, files: Sequence[WrittenFile]) -> list[str]:
        """Deletes the files of a removal that has been rolled back: the rows are still in their table.

        An interrupt may have come right after the commit; so the database is asked, and a file that it
        knows stays. Never after CommitUnknownError.

        Answers with what is left: files that could not be deleted, or all when the database could not be
        asked. Nothing is raised, for something else has gone wrong already; `reconcile` does what is missing.
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
        """Finishes what earlier runs of the policy left behind.

        The caller has an ArrowSession of the policy, which nobody else can have, and it has not written yet:
        so no transaction with a file that is found here can still be committed. Raises ArchiveError.
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
                f"{policy}: {error}. Nothing has been deleted from the table; the next run tries again"
            ) from error
        return Reconciled(len(published), len(left))

    def publish_committed(self, connection: Connection, files: Sequence[ArchivedFile]) -> None:
        """As `publish`, for what `ops.archives` says. Whoever reads it there may do this, at any time."""
        if not files:
            return
        with Workers(PUBLISHING_THREADS, "archive-publish") as workers:
            for file, done in [(file, workers.submit(partial(self._name, file))) for file in files]:
                try:
                    done.result()
                except StorageError as error:
                    raise ArchiveError(
                        f"{file.policy}: {error}. The rows that were removed are safe in the archive, one of "
                        "their files under its temporary name; the next run goes on from here"
                    ) from error
        manifest.record_stored(connection, files)

    def _name(self, file: ArchivedFile) -> None:
        try:
            self.storage.rename(file.temporary_path, file.path)
        except FileNotFoundError:
            if self.storage.size(file.path) != file.bytes:
                raise self._lost(file) from None
        # A crash may have left one of that name, even half of one.
        self.storage.delete(manifest_path(file.path))
        self.storage.write(manifest_path(file.path), memoryview(manifest.description(file, self.origin)))

    def _lost(self, file: ArchivedFile) -> ArchiveError:
        return ArchiveError(
            f"{file.policy}: {self.storage.name}/{file.path} is missing, and so is the file it was to be "
            f"made of, {file.temporary_path}. Its {file.rows:,} rows of {file.table} were removed at "
            f"{file.created_at:%Y-%m-%d %H:%M:%S} UTC and are in no other file. Put it back from a copy of "
            f"the archive; to go on without it, delete row {file.id} of {our_table('archives')}"
        )

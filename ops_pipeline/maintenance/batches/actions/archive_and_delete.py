"""Rows deleted once they are in the archive, read back and compared."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql as compose

import sql
from ops_pipeline.archive import columns
from ops_pipeline.archive.archive import Archive
from ops_pipeline.archive.arrow_session import ArrowSession, CommitUnknownError
from ops_pipeline.archive.files import ArchivedTable, WrittenFile, total_rows
from ops_pipeline.maintenance.batches import actions
from ops_pipeline.maintenance.batches.actions import BatchLimits
from ops_pipeline.maintenance.batches.batch import Run
from ops_pipeline.maintenance.batches.scans import ScanRange
from ops_pipeline.maintenance.history import Batch, Note, Record
from ops_pipeline.maintenance.plan import DeletePlan
from ops_pipeline.partitions.partition import Partition
from ops_pipeline.policies.model import DeletingPolicy
from ops_pipeline.postgres.connection import Connection, url_of
from ops_pipeline.postgres.relation import Relation
from ops_pipeline.settings import Settings
from ops_pipeline.storage import location


@dataclass(frozen=True, slots=True)
class ArchiveAndDelete:
    """Deletes the rows of `source` and archives them, in transactions of `worker`.

    What is deleted is what is archived: the rows that DELETE answers with are written, synced, read back
    and compared before the transaction that deletes them is committed, and its commit waits for the disk.
    `connection` has the policy's lock, and is where holds are read.
    """

    connection: Connection
    worker: ArrowSession
    archive: Archive
    record: Record
    table: Relation
    source: ArchivedTable
    row_bytes: float = 0.0

    def remove(self, window: ScanRange, terms: BatchLimits) -> int:
        """Removes and archives the window's rows that may go, commits, and says how many they were.

        Raises ArchiveError when the archive fails; nothing of the window was deleted then, or, as its
        message says, the rows are safe in the archive.
        """
        with self._files() as parts, self.worker.transaction():
            wal = self._limit(terms)
            with self.worker.query(self._taking(window, terms)) as reader:
                parts.extend(self.archive.write(reader, self.source))
            removed = total_rows(parts)
            batch = Batch(window.examined, removed, removed, round(removed * self.row_bytes), wal)
            if parts:
                self.worker.execute(self.archive.insert_statement(parts))
            for note in actions.records(self.record, batch, window, terms):
                self.worker.execute(self._bound(note))
        return removed

    def copy(self, partition: Partition) -> list[WrittenFile]:
        """Archives a detached partition that nobody can change. It counts once `insert_statement` is
        committed with the partition's drop. Raises ArchiveError; no file is left then."""
        whole = compose.SQL(sql.get("maintenance/batches/actions/copy")).format(
            columns=columns.select_list(self.source.columns, "doomed"), heap=partition.identifier
        )
        with self.worker.query(whole) as reader:
            return self.archive.write(reader, self.source)

    def _taking(self, window: ScanRange, terms: BatchLimits) -> compose.Composed:
        name = (
            "maintenance/batches/actions/take_unlocked"
            if terms.skip_locked
            else "maintenance/batches/actions/take"
        )
        return compose.SQL(sql.get(name)).format(
            heap=window.heap.identifier,
            condition=actions.deletable(self.connection, self.table, window),
            columns=columns.select_list(self.source.columns, "doomed"),
        )

    def _limit(self, terms: BatchLimits) -> str:
        with self.worker.query(self._bound(actions.limits(terms, synchronous_commit=True))) as reader:
            where_the_wal_stands: str = reader.read_all().columns[-1][0].as_py()
        return where_the_wal_stands

    @contextmanager
    def _files(self) -> Iterator[list[WrittenFile]]:
        """The files of one transaction: published when it is committed, deleted when it was rolled back."""
        parts: list[WrittenFile] = []
        try:
            yield parts
        except CommitUnknownError:
            raise  # they may count; the next run finds out
        except BaseException:
            self.archive.discard(parts)
            raise
        self.archive.publish(self.connection, parts)

    def _bound(self, note: Note) -> str:
        # The worker takes no parameters; psycopg writes the values in as it would for a simple query.
        return psycopg.ClientCursor(self.connection).mogrify(*note)


@contextmanager
def opened(
    run: Run,
    policy: DeletingPolicy,
    table: Relation,
    plan: DeletePlan,
    settings: Settings,
) -> Iterator[ArchiveAndDelete]:
    """What removes the policy's rows into the archive, with what an earlier run left there put right.

    Expired rows are filed under the day of their time; orphans have none, and go under the day they leave.
    Raises DatabaseUnavailableError, WorkerBusyError, StorageUrlError or ArchiveError; nothing was removed.
    """
    storage = location.storage(settings.archive_url)
    with ArrowSession(url_of(run.connection), policy.name, f"ops {policy.name} archive") as worker:
        archive = Archive(storage, run.connection)
        found = archive.reconcile(run.connection, policy.name, table.schema, table.name)
        if found.published or found.deleted:
            run.report(
                f"{policy.name}: an earlier run had left {found.published} files without their lasting "
                f"names, which they have now, and {found.deleted} whose rows were never deleted, which are "
                "gone"
            )
        source = ArchivedTable(
            policy.name, run.record.id, table.schema, table.name,
            columns.columns_of(run.connection, table.oid),
            day_column=policy.time_column(), cutoff=plan.cutoff,
            keys=(*columns.keys(run.connection, table.oid), *policy.reference_columns()),
        )  # fmt: skip
        yield ArchiveAndDelete(
            run.connection, worker, archive, run.record, table, source, plan.rows.row_bytes
        )

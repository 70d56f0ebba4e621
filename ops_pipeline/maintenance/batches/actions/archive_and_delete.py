"""The action that archives rows, reads the file back, compares, and only then deletes the rows."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql as compose

import sql
from ops_pipeline.archive import columns
from ops_pipeline.archive.archive import Archive
from ops_pipeline.archive.arrow_session import ArrowSession, CommitUnknownError, startup_options
from ops_pipeline.archive.deadline import Deadline
from ops_pipeline.archive.files import ArchivedTable, WrittenFile, total_rows
from ops_pipeline.counted import counted
from ops_pipeline.maintenance.batches import actions
from ops_pipeline.maintenance.batches.actions import BatchLimits, children
from ops_pipeline.maintenance.batches.actions.children import Child
from ops_pipeline.maintenance.batches.actions.deleted_by_cascade import (
    CascadeCounter,
    OtherTableRows,
    UnplannedDeletionError,
    cascade_counter,
)
from ops_pipeline.maintenance.batches.batch import PolicyRun
from ops_pipeline.maintenance.batches.scans import ScanRange
from ops_pipeline.maintenance.circled_holds import KnownHolds
from ops_pipeline.maintenance.history import Batch, Record, Statement
from ops_pipeline.maintenance.plan import DeletePlan
from ops_pipeline.maintenance.reach import Target
from ops_pipeline.partitions.partition import Partition
from ops_pipeline.policies.model import DeletingPolicy
from ops_pipeline.postgres.connection import Connection, url_of
from ops_pipeline.postgres.relation import Relation
from ops_pipeline.settings import Settings
from ops_pipeline.storage import location


@dataclass(frozen=True, slots=True)
class ArchiveAndDelete:
    """Deletes the rows of `source` and archives them, in transactions of `worker`.

    What is deleted is what is archived: the rows that DELETE returns are written, synced, read back
    and compared before the transaction that deletes them is committed, and its commit waits for the disk.
    `connection` has the policy's lock and reads the holds; `planned`: those that the plan knew. `children`:
    the tables whose rows are archived and deleted before the rows they refer to, in the same transaction.
    """

    connection: Connection
    worker: ArrowSession
    archive: Archive
    record: Record
    table: Relation
    source: ArchivedTable
    counter: CascadeCounter
    planned: KnownHolds
    row_bytes: float = 0.0
    children: Sequence[Child] = ()

    def remove(self, scan_range: ScanRange, limits: BatchLimits) -> int:
        """Archives and deletes the deletable rows of the range, commits, and returns how many they were.

        Raises ArchiveError when the archive fails: nothing of the range was deleted, or, as its message
        says, the rows are safe in the archive. Raises UnplannedDeletionError, also when a trigger keeps a
        row whose children were to be archived, and StorageTooSlowError when the rows are not archived
        within `limits.statement_timeout`, because they are not locked for longer. Nothing of the range was
        deleted then.
        """
        deadline = Deadline.after(limits.statement_timeout)
        with self._files() as files, self.worker.transaction():
            wal = self._limit(limits)
            before, inserted = self.counter.counts(self._ask), self._inserted()
            # A trigger that keeps every row may have changed it instead; without this, in every run.
            self.worker.execute("SAVEPOINT deletion")
            condition = actions.deletable(self.connection, self.table, scan_range, self.planned)
            archived = None
            locked = 0
            if self.children:
                condition, locked = self._lock(scan_range, condition, limits)
                archived = self._delete_children(Target(condition, scan_range.heap), files, deadline)
            with self.worker.query(self._deleting(scan_range, condition, limits)) as reader:
                own = self.archive.write(reader, self.source, deadline)
            files.extend(own)
            removed = total_rows(own)
            if kept := max(0, locked - removed):
                raise UnplannedDeletionError(
                    f"{counted(kept, 'row')} of {self.table} {'was' if kept == 1 else 'were'} kept by a "
                    "trigger, or changed by a trigger of a referring table, but `cascade: archive` has "
                    "already deleted the referring rows. The batch was rolled back. Disable the trigger, or "
                    "set `cascade: delete`"
                )
            # Deferred constraints and triggers run now rather than at commit, so that their effect is seen.
            self.worker.execute(sql.get("postgres/check_now"))
            self._check_put_back(inserted)
            if removed == 0:
                self.worker.execute("ROLLBACK TO SAVEPOINT deletion")
                self.archive.discard(files)
                files.clear()
            others = self.counter.since(before, self._ask, removed, archived) if removed else []
            self._record(scan_range, limits, files, Batch(
                scan_range.scanned, removed, total_rows(files), round(removed * self.row_bytes), wal
            ), others)  # fmt: skip
        return removed

    def _inserted(self) -> int:
        """Rows inserted so far into the archived tables; in this transaction only a trigger does that."""
        tables = [self.table.oid, *(child.table.oid for child in self.children)]
        ((rows,),) = self._ask((sql.get("maintenance/batches/actions/inserted"), {"tables": tables}))
        return int(rows)

    def _check_put_back(self, before: int) -> None:
        """Raises UnplannedDeletionError when a trigger has put rows back."""
        if self._inserted() == before:
            return
        column = self.source.day_column
        expired: compose.Composable = compose.SQL("true")
        if column is not None and self.source.cutoff is not None:
            expired = compose.SQL("target.{} < {}").format(
                compose.Identifier(column), compose.Literal(self.source.cutoff)
            )
        for table, condition in (
            (self.table, expired),
            *((child.table, compose.SQL("true")) for child in self.children),
        ):
            statement = compose.SQL(sql.get("maintenance/batches/actions/put_back")).format(
                table=table.identifier, condition=condition
            )
            with self.worker.query(statement) as reader:
                rows: int = reader.read_all().column(0)[0].as_py()
            if rows:
                raise UnplannedDeletionError(
                    f"a trigger has inserted {counted(rows, 'row')} into {table} during the delete, and "
                    "an archive must not contain rows that still exist. The batch was rolled back. Disable "
                    "the trigger, or remove `archive: true` from the policy"
                )

    def _lock(
        self, scan_range: ScanRange, condition: compose.Composable, limits: BatchLimits
    ) -> tuple[compose.Composable, int]:
        """The rows to be deleted, locked so that no row can refer to them: as a condition, and how many."""
        locking = children.locking(scan_range, condition, skip_locked=limits.skip_locked)
        with self.worker.query(locking) as reader:
            (answer,) = reader.read_all().to_pylist()
        places, rows = answer.values()
        return compose.SQL("false") if places is None else children.at(scan_range.heap, places), rows

    def _delete_children(
        self, target: Target, files: list[WrittenFile], deadline: Deadline
    ) -> dict[int, int]:
        """Archives and deletes what refers to the rows; how many rows of each table, by its root's oid."""
        archived: dict[int, int] = {}
        for child in self.children:
            with self.worker.query(child.deleting(target)) as reader:
                written = self.archive.write(reader, child.source, deadline)
            files.extend(written)
            archived[child.root] = archived.get(child.root, 0) + total_rows(written)
        return archived

    def _record(
        self,
        scan_range: ScanRange,
        limits: BatchLimits,
        files: Sequence[WrittenFile],
        batch: Batch,
        others: Sequence[OtherTableRows],
    ) -> None:
        """Records, in the batch's transaction, what it does."""
        if files:
            self.worker.execute(self.archive.insert_statement(files))
        for statement in (
            *actions.progress_statements(self.record, batch, scan_range, limits),
            *(rows.statement(self.record) for rows in others),
        ):
            self.worker.execute(self._bound(statement))

    def _ask(self, statement: Statement) -> list[tuple[Any, ...]]:
        with self.worker.query(self._bound(statement)) as reader:
            table = reader.read_all()
        return list(zip(*(column.to_pylist() for column in table.columns), strict=True))

    def copy(self, partition: Partition) -> list[WrittenFile]:
        """Archives a detached partition that no other session can change. The files count once
        `insert_statement` is committed together with the partition's drop. Raises ArchiveError; no file
        remains then."""
        every_row = compose.SQL(sql.get("maintenance/batches/actions/copy")).format(
            columns=columns.select_list(self.source.columns, "target"), heap=partition.identifier
        )
        with self.worker.query(every_row) as reader:
            return self.archive.write(reader, self.source)

    def _deleting(
        self, scan_range: ScanRange, condition: compose.Composable, limits: BatchLimits
    ) -> compose.Composed:
        name = "delete_returning_unlocked" if limits.skip_locked else "delete_returning"
        return compose.SQL(sql.get(f"maintenance/batches/actions/{name}")).format(
            heap=scan_range.heap.identifier,
            condition=condition,
            columns=columns.select_list(self.source.columns, "target"),
        )

    def _limit(self, limits: BatchLimits) -> str:
        """Sets the transaction's limits and returns the current WAL position."""
        statement = self._bound(actions.limit_statement(limits, synchronous_commit=True))
        with self.worker.query(statement) as reader:
            wal: str = reader.read_all().columns[-1][0].as_py()
        return wal

    @contextmanager
    def _files(self) -> Iterator[list[WrittenFile]]:
        """The files of one transaction: published when it is committed, deleted when it is rolled back."""
        files: list[WrittenFile] = []
        try:
            yield files
        except CommitUnknownError:
            raise  # the transaction may have been committed; the next run finds out
        except BaseException:
            self.archive.discard(files)
            raise
        self.archive.publish(self.connection, files)

    def _bound(self, statement: Statement) -> str:
        # The worker takes no parameters; psycopg inserts the values as it would for a simple query.
        return psycopg.ClientCursor(self.connection).mogrify(*statement)


@contextmanager
def archiving(
    run: PolicyRun,
    policy: DeletingPolicy,
    table: Relation,
    plan: DeletePlan,
    planned: KnownHolds,
    settings: Settings,
) -> Iterator[ArchiveAndDelete]:
    """Yields the action that archives and deletes the rows, after finishing what an earlier run left there.

    Expired rows are filed under the day of their time; orphans have none and are filed under the day they
    are deleted. Raises DatabaseUnavailableError, ArrowSessionBusyError, StorageUrlError or ArchiveError;
    nothing was deleted then.
    """
    storage = location.storage(settings.archive_url)
    with ArrowSession(
        url_of(run.connection),
        policy.name,
        f"ops {policy.name} archive",
        options=startup_options(run.connection),
    ) as worker:
        archive = Archive(storage, run.connection)
        child_tables = (
            children.children(run.connection, policy, table, run.record.id)
            if policy.cascade == "archive"
            else ()
        )
        for each in (table, *(child.table for child in child_tables)):
            _reconcile(run, archive, policy, each)
        source = ArchivedTable(
            policy.name, run.record.id, table.schema, table.name,
            columns.columns_of(run.connection, table.oid),
            day_column=policy.time_column(), cutoff=plan.cutoff,
            keys=(*columns.keys(run.connection, table.oid), *policy.reference_columns()),
        )  # fmt: skip
        watch = cascade_counter(run.connection, policy, table)
        yield ArchiveAndDelete(
            run.connection,
            worker,
            archive,
            run.record,
            table,
            source,
            watch,
            planned,
            plan.rows.row_bytes,
            child_tables,
        )


def _reconcile(run: PolicyRun, archive: Archive, policy: DeletingPolicy, table: Relation) -> None:
    reconciled = archive.reconcile(run.connection, policy.name, table.schema, table.name)
    if reconciled.published or reconciled.deleted:
        run.report(
            f"{policy.name}: cleaned up after an interrupted run: "
            f"{counted(reconciled.published, 'archived file')} renamed to "
            f"{'its final name' if reconciled.published == 1 else 'their final names'}, "
            f"{counted(reconciled.deleted, 'unfinished file')} deleted "
            f"({'its' if reconciled.deleted == 1 else 'their'} rows are still in the table)"
        )

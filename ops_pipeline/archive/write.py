"""Writes Arrow rows to Parquet files on the storage, reads them back and compares. Loads Arrow.

Three things happen at once: this thread reads rows and splits them by day, a second one encodes, others store
and compare. Memory is bounded: when the open files together contain `OPEN_BYTES` of rows, the largest is
closed; while `CLOSING_BYTES` wait to be stored and compared, no more rows are read.

Tables are mostly in the order of time: the file of a day without a row among the last `IDLE_BYTES` is closed,
so that little remains to be done at the end; a later row of that day goes into another file.

The rows are locked meanwhile. So there is a deadline, after which nothing is waited for: a thread whose
storage hangs is abandoned, and its unfinished file is deleted by the thread itself or by the next
`Archive.reconcile`.
"""

from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from hashlib import sha256
from threading import Thread

import pyarrow as pa

from ops_pipeline.archive import arrow, parquet, split_by_day
from ops_pipeline.archive.archive_error import ArchiveError
from ops_pipeline.archive.deadline import Deadline
from ops_pipeline.archive.files import ArchivedTable, WrittenFile, place
from ops_pipeline.archive.workers import Workers
from ops_pipeline.postgres.relation import TableName
from ops_pipeline.storage.storage import Storage, StorageError, StorageTooSlowError

ROW_GROUP_ROWS = 20_000
"""Small enough that a search for one value decodes few other rows."""
ROW_GROUP_BYTES = 8 * 1024 * 1024
FILE_BYTES = 64 * 1024 * 1024
"""Of rows in memory."""
STORED_BYTES = 8 * 1024 * 1024
"""The approximate size of a file. Up to 10 MiB are stored in S3 by one request, which leaves nothing behind
when it fails; larger files would be multipart uploads."""
OPEN_BYTES = 128 * 1024 * 1024
CLOSING_BYTES = 96 * 1024 * 1024
IDLE_BYTES = 8 * 1024 * 1024
STORING_THREADS = 4
INTERRUPTED_SECONDS = 1.0
"""How long an interrupt waits for unfinished files to be deleted."""


def write_files(
    storage: Storage,
    reader: pa.RecordBatchReader,
    source: ArchivedTable,
    origin: str,
    today: date,
    deadline: Deadline | None = None,
) -> list[WrittenFile]:
    """Archives every row of the reader; when this returns, all of them are on the storage under temporary
    names and were read back and compared.

    Raises ArchiveError, and StorageTooSlowError at the deadline. After any error, also one of the reader, the
    files are deleted; those that cannot be deleted by the deadline are left to `Archive.reconcile`.
    """
    schema = _schema(reader, source)
    day_field = next((column.field for column in source.columns if column.name == source.day_column), None)
    with _Writing(storage, source, origin, schema, day_field, deadline) as writing:
        for batch in reader:
            rows = pa.RecordBatch.from_arrays(batch.columns, schema=schema)
            pieces = [(today, rows)] if day_field is None else split_by_day.split(rows, day_field)
            for day, piece in pieces:
                writing.add(day, piece)
        return writing.finish()


def _schema(reader: pa.RecordBatchReader, source: ArchivedTable) -> pa.Schema:
    about = {
        "ops.policy": source.policy,
        "ops.run": str(source.run_id),
        "ops.table": TableName(source.table_schema, source.table_name).qualified,
    }
    expected = arrow.schema(source.columns, about)
    for wanted, given in zip(expected, reader.schema, strict=True):
        if (wanted.name, wanted.type) != (given.name, given.type):
            raise ArchiveError(
                f"{about['ops.table']}: the rows have {given.name} {given.type} where "
                f"{wanted.name} {wanted.type} was expected; the table was probably altered meanwhile. "
                "No row of this batch was deleted. Run the policy again"
            )
    return expected


@dataclass(slots=True, eq=False)
class _Open:
    """A file to which rows are still added. `groups` were submitted to the encoder, `pending` not yet."""

    day: date | None
    encoder: parquet.Encoder
    groups: list[pa.Table] = field(default_factory=list)
    pending: list[pa.RecordBatch] = field(default_factory=list)
    pending_rows: int = 0
    pending_bytes: int = 0
    bytes: int = 0
    last_seen: int = 0
    encoded: list["Future[None]"] = field(default_factory=list)


class _Writing:
    def __init__(
        self,
        storage: Storage,
        source: ArchivedTable,
        origin: str,
        schema: pa.Schema,
        day_field: str | None,
        deadline: Deadline | None,
    ) -> None:
        self._storage = storage
        self._source = source
        self._origin = origin
        self._schema = schema
        self._day_field = day_field
        self._deadline = deadline
        self._looked_up_by = _looked_up_by(source)
        self._open: dict[date | None, _Open] = {}
        self._open_bytes = 0
        self._seen_bytes = 0
        self._closing: list[tuple[int, Future[WrittenFile], Future[None]]] = []
        self._files: list[WrittenFile] = []
        self._temporary: list[str] = []
        self._left: list[str] = []
        self._ratio = 0.0  # stored bytes by bytes of rows, the largest of any complete row group
        self._encoding = Workers(1, "archive-encode")
        self._storing = Workers(STORING_THREADS, "archive-store")

    def __enter__(self) -> "_Writing":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if error is None:
            self._end_threads()
            return
        cleaning = Thread(target=self._clean_up, name="archive-clean-up", daemon=True)
        cleaning.start()
        cleaning.join(self._patience(error))
        if cleaning.is_alive():
            error.add_note("Unfinished files may remain on the storage; the next run deletes them")
        for path in self._left:
            error.add_note(f"The unfinished file {path} could not be deleted; the next run deletes it")

    def add(self, day: date | None, rows: pa.RecordBatch) -> None:
        file = self._open.get(day)
        if file is not None and self._is_full(file, rows.nbytes):
            self._close(file)
            file = None
        if file is None:
            file = self._open[day] = _Open(day, parquet.Encoder(self._schema, self._looked_up_by))
        file.pending.append(rows)
        size = rows.nbytes
        file.pending_rows += rows.num_rows
        file.pending_bytes += size
        file.bytes += size
        self._open_bytes += size
        self._seen_bytes += size
        file.last_seen = self._seen_bytes
        if file.pending_rows >= ROW_GROUP_ROWS or file.pending_bytes >= ROW_GROUP_BYTES:
            self._encode(file)
        if file.bytes >= FILE_BYTES:
            self._close(file)
        for idle in [idle for idle in self._open.values() if self._seen_bytes - idle.last_seen > IDLE_BYTES]:
            self._close(idle)
        while self._open_bytes > OPEN_BYTES:
            self._close(max(self._open.values(), key=lambda open_file: open_file.bytes))

    def finish(self) -> list[WrittenFile]:
        for file in list(self._open.values()):
            self._close(file)
        while self._closing:
            self._settle()
        return self._files

    def _is_full(self, file: _Open, more: int) -> bool:
        """Whether it would become larger than STORED_BYTES with `more` bytes of rows."""
        size = file.bytes + more
        if size <= STORED_BYTES:
            return False
        if not file.encoded:
            self._encode(file, all_of_it=True)
        file.encoded[0].result()
        return size * (self._ratio or 1.0) > STORED_BYTES

    def _encode(self, file: _Open, *, all_of_it: bool = False) -> None:
        """Submits pending rows in row groups; a smaller rest only when it is large or `all_of_it` is true."""
        pending = pa.Table.from_batches(file.pending, schema=self._schema)
        while pending.num_rows >= ROW_GROUP_ROWS or pending.nbytes >= ROW_GROUP_BYTES or all_of_it:
            group, pending = pending.slice(0, ROW_GROUP_ROWS), pending.slice(ROW_GROUP_ROWS)
            file.groups.append(group)
            file.encoded.append(self._encoding.submit(partial(self._add_group, file.encoder, group)))
            if pending.num_rows == 0:
                break
        file.pending, file.pending_rows = pending.to_batches(), pending.num_rows
        file.pending_bytes = pending.nbytes

    def _add_group(self, encoder: parquet.Encoder, group: pa.Table) -> None:
        size = encoder.size
        encoder.add(group)
        if group.num_rows >= ROW_GROUP_ROWS or 2 * group.nbytes >= ROW_GROUP_BYTES:
            self._ratio = max(self._ratio, (encoder.size - size) / group.nbytes)

    def _close(self, file: _Open) -> None:
        if file.pending:
            self._encode(file, all_of_it=True)
        del self._open[file.day]
        self._open_bytes -= file.bytes
        path, temporary = place(self._source, file.day, len(self._temporary) + 1, self._origin)
        self._temporary.append(temporary)
        content = self._encoding.submit(partial(_encoded, file))
        stored = self._storing.submit(partial(self._store, file, content, path, temporary))
        compared = self._storing.submit(lambda: parquet.check(content.result(), file.groups))
        self._closing.append((file.bytes, stored, compared))
        while sum(size for size, *_ in self._closing) > CLOSING_BYTES:
            self._settle()

    def _settle(self) -> None:
        _, stored, compared = self._closing.pop(0)
        try:
            compared.result(self._remaining())
            self._files.append(stored.result(self._remaining()))
        except TimeoutError as error:
            raise self._too_slow() from error
        except (StorageError, FileNotFoundError, parquet.NotTheSameError) as error:
            raise ArchiveError(
                f"{error}. No row of this batch was deleted; when the storage works "
                "again, the next run continues from here"
            ) from error

    def _store(self, file: _Open, content: "Future[pa.Buffer]", path: str, temporary: str) -> WrittenFile:
        encoded = memoryview(content.result())
        digest = sha256(encoded).hexdigest()
        self._storage.write(temporary, encoded)
        if sha256(self._storage.read(temporary)).hexdigest() != digest:
            raise parquet.NotTheSameError(
                f"{self._storage.name}/{temporary} differs from what was written when it is read back"
            )
        table = pa.concat_tables(file.groups)
        bounds = split_by_day.bounds(table, self._day_field) if self._day_field else (None, None)
        return WrittenFile(
            source=self._source,
            day=file.day,
            path=path,
            temporary_path=temporary,
            rows=table.num_rows,
            bytes=len(encoded),
            sha256=digest,
            oldest=bounds[0],
            newest=bounds[1],
        )

    def _remaining(self) -> float | None:
        return None if self._deadline is None else self._deadline.remaining()

    def _too_slow(self) -> StorageTooSlowError:
        seconds = 0.0 if self._deadline is None else self._deadline.seconds
        return StorageTooSlowError(
            f"{self._storage.name} did not store the rows of a batch within "
            f"{seconds:,.3g} s. None of its rows was deleted, and they are no longer locked; when the "
            "storage works again, the next run continues from here"
        )

    def _patience(self, error: BaseException) -> float | None:
        """How many seconds may be spent on deleting unfinished files, while rows are still locked."""
        remaining = self._remaining()
        if isinstance(error, Exception):
            return remaining
        return INTERRUPTED_SECONDS if remaining is None else min(INTERRUPTED_SECONDS, remaining)

    def _clean_up(self) -> None:
        self._end_threads()
        for number, path in enumerate(self._temporary):
            try:
                self._storage.delete(path)
            except StorageError:  # deleting the others would fail as well
                self._left = self._temporary[number:]
                return

    def _end_threads(self) -> None:
        self._encoding.end()
        self._storing.end()


def _looked_up_by(source: ArchivedTable) -> list[str]:
    # Times are searched by ranges, for which min/max statistics are enough; Parquet has no Bloom filter for
    # booleans.
    return [
        column.field
        for column in source.columns
        if (column.type == "uuid" or column.name in source.keys)
        and not column.temporal
        and column.travels != "bool"
    ]


def _encoded(file: _Open) -> pa.Buffer:
    for group in file.encoded:
        group.result()
    return file.encoder.close()

"""Loads archived files into staging tables for a restore, one table for each set of columns."""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256

import pyarrow as pa
import pyarrow.parquet as pq
from psycopg import sql as compose

import sql
from ops_pipeline.archive import arrow
from ops_pipeline.archive.arrow_session import ArrowSession
from ops_pipeline.archive.columns import ArchivedColumn, Travels, out_of_range_field
from ops_pipeline.archive.manifest import ArchivedFile
from ops_pipeline.counted import counted
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.relation import TableName, our_table
from ops_pipeline.storage.storage import Storage

STAGED: dict[Travels, str] = {
    "bool": "boolean",
    "int16": "smallint",
    "int32": "integer",
    "int64": "bigint",
    "float": "real",
    "double": "double precision",
    "string": "text",
    "binary": "bytea",
    "date": "date",
    "timestamp": "timestamp",
    "timestamptz": "timestamptz",
    "text": "text",
    "oid": "text",
}
"""A field's type in the staging table; it is cast to the column's own type when it is inserted."""


class DamagedError(Exception):
    """An archived file is missing, or does not match what the database recorded; the message names it."""


@dataclass(frozen=True, slots=True)
class Staged:
    """Files with the same columns, in the staging table `ops.<name>`."""

    name: str
    columns: tuple[ArchivedColumn, ...]
    files: tuple[ArchivedFile, ...]

    @property
    def table(self) -> TableName:
        return our_table(self.name)

    @property
    def identifier(self) -> compose.Identifier:
        return self.table.identifier

    def value(self, column: ArchivedColumn) -> compose.Composable:
        """The column of the alias `staged`, as the value that was archived."""
        field = compose.Identifier("staged", column.field)
        own_type = compose.SQL(column.type)
        if column.travels == "oid":
            return compose.SQL("{}::oid::{}").format(field, own_type)
        if not column.temporal:
            return compose.SQL("{}::{}").format(field, own_type)
        beyond = compose.Identifier("staged", out_of_range_field(self.columns) or "")
        # A domain may be NOT NULL: only the value that exists is cast, not both of them.
        return compose.SQL("coalesce(({}::jsonb ->> {})::{}, {})::{}").format(
            beyond, compose.Literal(column.field), compose.SQL(column.travels), field, own_type
        )


@contextmanager
def staged(
    connection: Connection, worker: ArrowSession, storage: Storage, files: Sequence[ArchivedFile]
) -> Iterator[list[Staged]]:
    """Loads the files' rows into staging tables, and drops these afterwards, also those of a killed restore.

    Every file is first compared with what the database recorded. The caller has the restore's ArrowSession,
    which is exclusive. Raises DamagedError and StorageError; no other table was changed.
    """
    _clear(connection, [name for (name,) in connection.execute(sql.get("archive/left_staging")).fetchall()])
    made: list[Staged] = []
    try:
        for columns, of_schema in _by_schema(files):
            made.append(_create(connection, columns, of_schema))
            _fill(made[-1], worker, storage)
        yield made
    except BaseException:
        worker.close()  # an interrupted COPY would prevent the table from being dropped
        raise
    finally:
        if not (connection.closed or connection.broken):
            _clear(connection, [staged.name for staged in made])


def _by_schema(
    files: Sequence[ArchivedFile],
) -> Iterator[tuple[tuple[ArchivedColumn, ...], list[ArchivedFile]]]:
    groups: dict[tuple[ArchivedColumn, ...], list[ArchivedFile]] = {}
    for file in files:
        groups.setdefault(file.columns, []).append(file)
    yield from groups.items()


def _create(
    connection: Connection, columns: tuple[ArchivedColumn, ...], files: Sequence[ArchivedFile]
) -> Staged:
    made = Staged(f"restoring_{secrets.token_hex(6)}", columns, tuple(files))
    fields = [(column.field, STAGED[column.travels]) for column in columns]
    extra = out_of_range_field(columns)
    if extra is not None:
        fields.append((extra, "text"))
    names, types = zip(*fields, strict=True)
    values = {"name": made.name, "fields": list(names), "types": list(types)}
    connection.execute(sql.get("archive/create_staging"), values)
    return made


def _fill(staged: Staged, worker: ArrowSession, storage: Storage) -> None:
    schema = arrow.schema(staged.columns, {})
    for file in staged.files:
        rows = _rows(content(storage, file), schema)
        worker.ingest(staged.table.schema, staged.name, pa.RecordBatchReader.from_batches(schema, rows))


def _rows(file_content: bytes, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    file = pq.ParquetFile(pa.BufferReader(file_content))
    for group in range(file.num_row_groups):
        table = file.read_row_group(group, use_threads=False)
        for batch in table.to_batches():
            yield pa.RecordBatch.from_arrays(batch.columns, schema=schema)


def content(storage: Storage, file: ArchivedFile) -> bytes:
    """The file's content, after checking that size, SHA-256 and row count match what the database recorded.

    Raises DamagedError and StorageError.
    """
    try:
        data = storage.read(file.path)
    except FileNotFoundError:
        raise DamagedError(f"{file.path} is missing from {storage.name}") from None
    if differences := _differences(data, file):
        raise DamagedError(
            f"{file.path} in {storage.name} does not match {our_table('archives')}: {', '.join(differences)}"
        )
    return data


def _differences(data: bytes, file: ArchivedFile) -> list[str]:
    differences = []
    if len(data) != file.bytes:
        differences.append(f"it has {counted(len(data), 'byte')}; {file.bytes:,} are recorded")
    if sha256(data).hexdigest() != file.sha256:
        return [*differences, "its SHA-256 differs from the recorded one"]
    try:
        rows: int = pq.read_metadata(pa.BufferReader(data)).num_rows
    except pa.ArrowInvalid as error:
        return [*differences, f"it is not Parquet ({error})"]
    if rows != file.rows:
        differences.append(f"it has {counted(rows, 'row')}; {file.rows:,} are recorded")
    return differences


def _clear(connection: Connection, names: Sequence[str]) -> None:
    for name in names:
        connection.execute(sql.get("archive/drop_staging"), {"name": name})

"""Archived rows on their way back: each schema's parts in a table of their own, beside all others."""

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
from ops_pipeline.archive.columns import Column, Travels, out_of_range_field
from ops_pipeline.archive.manifest import Archived
from ops_pipeline.postgres.connection import Connection
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
"""What a field is while it is staged; its own type it gets on the way into its table."""


class DamagedError(Exception):
    """A file of the archive is missing, or does not agree with what the database recorded of it; the message
    names it."""


@dataclass(frozen=True, slots=True)
class Staged:
    """Parts of one schema, in the table `ops.<name>`."""

    name: str
    columns: tuple[Column, ...]
    parts: tuple[Archived, ...]

    @property
    def identifier(self) -> compose.Identifier:
        return compose.Identifier("ops", self.name)

    def value(self, column: Column) -> compose.Composable:
        """The column of a row called `staged`, as what it was."""
        field = compose.Identifier("staged", column.field)
        own_type = compose.SQL(column.type)
        if column.travels == "oid":
            return compose.SQL("{}::oid::{}").format(field, own_type)
        if not column.temporal:
            return compose.SQL("{}::{}").format(field, own_type)
        beyond = compose.Identifier("staged", out_of_range_field(self.columns) or "")
        return compose.SQL("coalesce(({}::jsonb ->> {})::{}, {}::{})").format(
            beyond, compose.Literal(column.field), own_type, field, own_type
        )


@contextmanager
def staged(
    connection: Connection, worker: ArrowSession, storage: Storage, parts: Sequence[Archived]
) -> Iterator[list[Staged]]:
    """The parts' rows in tables that are gone afterwards, also those that a killed restore has left.

    Every file is compared with what the database recorded of it first. The caller has the worker, which
    nobody else can have. Raises DamagedError and StorageError; no other table has been touched.
    """
    _clear(connection, [name for (name,) in connection.execute(sql.get("archive/left_staging")).fetchall()])
    made: list[Staged] = []
    try:
        for columns, of_one in _by_schema(parts):
            made.append(_create(connection, columns, of_one))
            _fill(made[-1], worker, storage)
        yield made
    except BaseException:
        worker.close()  # a COPY that broke off would keep the table from being dropped
        raise
    finally:
        if not (connection.closed or connection.broken):
            _clear(connection, [each.name for each in made])


def _by_schema(parts: Sequence[Archived]) -> Iterator[tuple[tuple[Column, ...], list[Archived]]]:
    groups: dict[tuple[Column, ...], list[Archived]] = {}
    for each in parts:
        groups.setdefault(each.columns, []).append(each)
    yield from groups.items()


def _create(connection: Connection, columns: tuple[Column, ...], parts: Sequence[Archived]) -> Staged:
    made = Staged(f"restoring_{secrets.token_hex(6)}", columns, tuple(parts))
    fields = [(each.field, STAGED[each.travels]) for each in columns]
    extra = out_of_range_field(columns)
    if extra is not None:
        fields.append((extra, "text"))
    listed = [
        compose.SQL("{} {}").format(compose.Identifier(name), compose.SQL(kind)) for name, kind in fields
    ]
    connection.execute(
        compose.SQL("CREATE UNLOGGED TABLE {} ({})").format(made.identifier, compose.SQL(", ").join(listed))
    )
    return made


def _fill(staged: Staged, worker: ArrowSession, storage: Storage) -> None:
    schema = arrow.schema(staged.columns, {})
    for part in staged.parts:
        rows = _rows(content(storage, part), schema)
        worker.ingest("ops", staged.name, pa.RecordBatchReader.from_batches(schema, rows))


def _rows(file_content: bytes, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    file = pq.ParquetFile(pa.BufferReader(file_content))
    for group in range(file.num_row_groups):
        table = file.read_row_group(group, use_threads=False)
        for batch in table.to_batches():
            yield pa.RecordBatch.from_arrays(batch.columns, schema=schema)


def content(storage: Storage, part: Archived) -> bytes:
    """The part's file, which agrees with what the database recorded of it: size, SHA-256 and row count.

    Raises DamagedError and StorageError.
    """
    try:
        found = storage.read(part.path)
    except FileNotFoundError:
        raise DamagedError(f"{part.path} is missing from {storage.name}") from None
    if differences := _differences(found, part):
        raise DamagedError(
            f"{part.path} in {storage.name} does not agree with ops.archives: {', '.join(differences)}"
        )
    return found


def _differences(found: bytes, part: Archived) -> list[str]:
    differences = []
    if len(found) != part.bytes:
        differences.append(f"it has {len(found):,} bytes, recorded are {part.bytes:,}")
    if sha256(found).hexdigest() != part.sha256:
        return [*differences, "its SHA-256 is another than the recorded one"]
    try:
        rows: int = pq.read_metadata(pa.BufferReader(found)).num_rows
    except pa.ArrowInvalid as error:
        return [*differences, f"it is not Parquet ({error})"]
    if rows != part.rows:
        differences.append(f"it has {rows:,} rows, recorded are {part.rows:,}")
    return differences


def _clear(connection: Connection, names: Sequence[str]) -> None:
    for name in names:
        connection.execute(compose.SQL("DROP TABLE {}").format(compose.Identifier("ops", name)))

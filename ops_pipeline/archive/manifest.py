"""Records of archived files in `ops.archives`, committed together with the delete of their rows."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

import msgspec
from psycopg import sql as compose
from psycopg.rows import dict_row

import sql
from ops_pipeline.archive.columns import ArchivedColumn, out_of_range_field
from ops_pipeline.archive.files import ArchiveFile, WrittenFile
from ops_pipeline.postgres.connection import Connection, row
from ops_pipeline.postgres.relation import TableName

FORMAT = 1
"""The format version of manifest files. It is increased when an older reader would misread a newer file."""

FileState = Literal["unfinished", "stored", "verified", "damaged", "restored"]
"""unfinished: the rows were deleted and are in the file, which has its temporary name until the next run.
restored: its rows were put back into a table; the file is unchanged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivedFile(ArchiveFile):
    """A file whose rows were deleted from the table: a row of `ops.archives`."""

    id: int
    policy: str
    run_id: int
    table_schema: str
    table_name: str
    day_column: str | None
    columns: tuple[ArchivedColumn, ...]
    cutoff: datetime | None
    created_at: datetime
    stored_at: datetime | None
    verified_at: datetime | None
    verified_ok: bool | None
    restored_at: datetime | None
    restored_into: str | None

    @property
    def table(self) -> str:
        """`schema.table` as it was named when archived, quoted where necessary."""
        return TableName(self.table_schema, self.table_name).qualified

    @property
    def state(self) -> FileState:
        """Its last known state."""
        if self.verified_ok is False:
            return "damaged"
        if self.restored_at is not None:
            return "restored"
        if self.stored_at is None:
            return "unfinished"
        return "verified" if self.verified_ok else "stored"


@dataclass(frozen=True, slots=True)
class ArchiveTotals:
    """What `ops.archives` records. `unfinished`: files that still have their temporary name."""

    files: int
    rows: int
    bytes: int
    newest: datetime | None
    damaged: int
    unfinished: int


def insert_statement(files: Sequence[WrittenFile]) -> str:
    """The statement that records the files, including values, for the connection that deletes their rows.

    Without files, a statement that does nothing.
    """
    if not files:
        return "SELECT"
    recorded = compose.Literal(msgspec.json.encode(list(map(_values, files))).decode())
    return compose.SQL(sql.get("archive/insert")).format(files=recorded).as_string(None)


def unstored(connection: Connection, policy: str) -> list[ArchivedFile]:
    """The policy's files that may still have their temporary name."""
    return _read(connection, "archive/unstored", {"policy": policy})


def by_path(connection: Connection, paths: Sequence[str]) -> list[ArchivedFile]:
    """The files with those final paths whose delete is committed."""
    return _read(connection, "archive/by_path", {"paths": list(paths)})


def all_files(connection: Connection) -> list[ArchivedFile]:
    """All files, ordered by table and day."""
    return _read(connection, "archive/everything", {})


def totals(connection: Connection) -> ArchiveTotals:
    """How much is archived, of all tables."""
    return ArchiveTotals(*row(connection, sql.get("archive/totals")))


def of_days(
    connection: Connection, schema: str, table: str, first: date | None, last: date | None
) -> list[ArchivedFile]:
    """The files of a table from the first day to the last, both included; None: no bound.

    Files without a day count as before the first day: among expired rows these are the ones with -infinity.
    """
    values = {"schema": schema, "table": table, "first": first, "last": last}
    return _read(connection, "archive/of_days", values)


def record_verified(connection: Connection, file: ArchivedFile, *, ok: bool) -> None:
    """Records that the file was read again, and whether it matches its record (`ok`)."""
    connection.execute(sql.get("archive/record_verified"), {"id": file.id, "ok": ok})


def record_restored(connection: Connection, files: Sequence[ArchivedFile], into: str) -> None:
    """Records that the files' rows were restored into that table, in the caller's transaction."""
    values = {"ids": [file.id for file in files], "into": into}
    connection.execute(sql.get("archive/record_restored"), values)


def record_stored(connection: Connection, files: Sequence[ArchivedFile]) -> None:
    """Records that the files have their final names."""
    connection.execute(sql.get("archive/record_stored"), {"ids": [file.id for file in files]})


def description(file: ArchivedFile, origin: str) -> bytes:
    """The content of the file's manifest: JSON, enough to restore it without the database."""
    content = {
        "format": FORMAT,
        "origin": origin,
        "policy": file.policy,
        "run_id": file.run_id,
        "table": {"schema": file.table_schema, "name": file.table_name},
        "day_column": file.day_column,
        "day": file.day,
        "path": file.path,
        "rows": file.rows,
        "bytes": file.bytes,
        "sha256": file.sha256,
        "columns": [dataclasses.asdict(column) for column in file.columns],
        "out_of_range": out_of_range_field(file.columns),
        "cutoff": file.cutoff,
        "oldest": file.oldest,
        "newest": file.newest,
        "removed_at": file.created_at,
    }
    return msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n"


def _values(file: WrittenFile) -> dict[str, Any]:
    source = file.source
    return {
        "policy": source.policy,
        "run_id": source.run_id,
        "table_schema": source.table_schema,
        "table_name": source.table_name,
        "day_column": source.day_column,
        "day": file.day,
        "path": file.path,
        "temporary_path": file.temporary_path,
        "rows": file.rows,
        "bytes": file.bytes,
        "sha256": file.sha256,
        "schema": [dataclasses.asdict(column) for column in source.columns],
        "cutoff": source.cutoff,
        "oldest": file.oldest,
        "newest": file.newest,
    }


def _read(connection: Connection, statement: str, values: dict[str, Any]) -> list[ArchivedFile]:
    cursor = connection.cursor(row_factory=dict_row)
    return [
        ArchivedFile(**{**row, "columns": _columns(row["columns"])})
        for row in cursor.execute(sql.get(statement), values)
    ]


def _columns(schema: Any) -> tuple[ArchivedColumn, ...]:
    return tuple(msgspec.convert(schema, list[ArchivedColumn]))

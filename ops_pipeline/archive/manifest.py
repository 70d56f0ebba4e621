"""`ops.archives`: what was removed and where it is kept, committed with the removal itself."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

import msgspec
from psycopg import sql as compose
from psycopg.rows import dict_row

import sql
from ops_pipeline.archive.columns import Column, out_of_range_field
from ops_pipeline.archive.files import ArchiveFile
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.relation import TableName

FORMAT = 1
"""Of the manifest files. It goes up when an older reader would misread a newer file."""

State = Literal["unfinished", "stored", "verified", "damaged", "restored"]
"""unfinished: the rows are gone and kept, but the file has its temporary name until the next run.
restored: its rows went back into a table; the file stays as it is."""


@dataclass(frozen=True, slots=True)
class Archived:
    """A part whose rows are gone from the table: a row of `ops.archives`."""

    id: int
    policy: str
    run_id: int
    table_schema: str
    table_name: str
    day_column: str | None
    day: date | None
    path: str
    temporary_path: str
    rows: int
    bytes: int
    sha256: str
    columns: tuple[Column, ...]
    cutoff: datetime | None
    oldest: datetime | None
    newest: datetime | None
    created_at: datetime
    stored_at: datetime | None
    verified_at: datetime | None
    verified_ok: bool | None
    restored_at: datetime | None
    restored_into: str | None

    @property
    def table(self) -> str:
        """`schema.table` as it was named, quoted where need be."""
        return TableName(self.table_schema, self.table_name).qualified

    @property
    def state(self) -> State:
        """The last thing known of it."""
        if self.verified_ok is False:
            return "damaged"
        if self.restored_at is not None:
            return "restored"
        if self.stored_at is None:
            return "unfinished"
        return "verified" if self.verified_ok else "stored"


def insert_statement(parts: Sequence[ArchiveFile]) -> str:
    """The INSERT that notes the parts, values and all, for the connection that removes their rows.

    For no parts at all it is a statement that does nothing.
    """
    if not parts:
        return "SELECT"
    rows = compose.SQL(",\n  ").join(map(_values, parts))
    return compose.SQL(sql.get("archive/insert")).format(rows=rows).as_string(None)


def unstored(connection: Connection, policy: str) -> list[Archived]:
    """The policy's parts that may still have their temporary name."""
    return _read(connection, "archive/unstored", {"policy": policy})


def by_path(connection: Connection, paths: Sequence[str]) -> list[Archived]:
    """The parts that belong at those paths, as far as their removal is committed."""
    return _read(connection, "archive/by_path", {"paths": list(paths)})


def everything(connection: Connection) -> list[Archived]:
    """Every part there is, by table and day."""
    return _read(connection, "archive/everything", {})


def of_days(
    connection: Connection, schema: str, table: str, first: date | None, last: date | None
) -> list[Archived]:
    """The parts of a table from the first day to the last, both included; None: no bound.

    Parts of no day come with those of the first days: -infinity is what retention finds of that kind.
    """
    values = {"schema": schema, "table": table, "first": first, "last": last}
    return _read(connection, "archive/of_days", values)


def note_verified(connection: Connection, part: Archived, *, ok: bool) -> None:
    """The part's file has been read again and, as `ok` says, agrees with what is recorded of it or not."""
    connection.execute(sql.get("archive/note_verified"), {"id": part.id, "ok": ok})


def note_restored(connection: Connection, parts: Sequence[Archived], into: str) -> None:
    """The parts' rows are in that table, once this transaction is committed."""
    values = {"ids": [each.id for each in parts], "into": into}
    connection.execute(sql.get("archive/note_restored"), values)


def note_stored(connection: Connection, parts: Sequence[Archived]) -> None:
    """The parts have their lasting names from now on."""
    connection.execute(sql.get("archive/note_stored"), {"ids": [each.id for each in parts]})


def description(part: Archived, origin: str) -> bytes:
    """What the file beside the part says of it: JSON, enough to restore it without the database."""
    content = {
        "format": FORMAT,
        "origin": origin,
        "policy": part.policy,
        "run_id": part.run_id,
        "table": {"schema": part.table_schema, "name": part.table_name},
        "day_column": part.day_column,
        "day": part.day,
        "path": part.path,
        "rows": part.rows,
        "bytes": part.bytes,
        "sha256": part.sha256,
        "columns": [dataclasses.asdict(each) for each in part.columns],
        "out_of_range": out_of_range_field(part.columns),
        "cutoff": part.cutoff,
        "oldest": part.oldest,
        "newest": part.newest,
        "removed_at": part.created_at,
    }
    return msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n"


def _values(part: ArchiveFile) -> compose.Composable:
    source = part.source
    schema = msgspec.json.encode([dataclasses.asdict(each) for each in source.columns]).decode()
    values: list[Any] = [
        source.policy, source.run_id, source.table_schema, source.table_name, source.day_column, part.day,
        part.path, part.temporary_path, part.rows, part.bytes, part.sha256, schema, source.cutoff,
        part.oldest, part.newest,
    ]  # fmt: skip
    return compose.SQL("({})").format(compose.SQL(", ").join(map(compose.Literal, values)))


def _read(connection: Connection, statement: str, values: dict[str, Any]) -> list[Archived]:
    cursor = connection.cursor(row_factory=dict_row)
    return [
        Archived(**{**row, "columns": _columns(row["columns"])})
        for row in cursor.execute(sql.get(statement), values)
    ]


def _columns(schema: Any) -> tuple[Column, ...]:
    return tuple(msgspec.convert(schema, list[Column]))

"""Archived files: their paths and names on the storage, and what is known about each."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from hashlib import sha256
from urllib.parse import quote

from ops_pipeline.archive.columns import DAY, ArchivedColumn

UNDATED = "__HIVE_DEFAULT_PARTITION__"
"""Hive's name for the folder of rows without a value."""


@dataclass(frozen=True, slots=True)
class ArchivedTable:
    """What is archived: rows of one table, deleted by one run of one policy.

    `day_column`: the name of the column whose UTC day a row is filed under; None: the day it is deleted.
    `keys`: the names of columns by which rows are searched.
    """

    policy: str
    run_id: int
    table_schema: str
    table_name: str
    columns: tuple[ArchivedColumn, ...]
    day_column: str | None = None
    cutoff: datetime | None = None
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveFile:
    """A file of rows: `path` is its final path, `temporary_path` its path until the delete is committed.

    `day` None: no day between the years 1 and 9999. `bytes`, `sha256`: of the whole file. `oldest`, `newest`:
    of the day column; None also for a time that Python's datetime cannot represent.
    """

    day: date | None
    path: str
    temporary_path: str
    rows: int
    bytes: int
    sha256: str
    oldest: datetime | None
    newest: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenFile(ArchiveFile):
    """A file that counts once the delete of its rows is committed."""

    source: ArchivedTable


def folder(schema: str, table: str) -> str:
    """The folder of this table's files alone: `table` or, outside of `public`, `schema.table`.

    A dot within a name is written as %2E, so the only dot is the one between schema and table.
    """
    parts = [table] if schema == "public" else [schema, table]
    return ".".join(quote(part, safe=" $@+=,~").replace(".", "%2E") for part in parts)


def place(source: ArchivedTable, day: date | None, number: int, origin: str) -> tuple[str, str]:
    """The path of a new file, and its temporary path beside it.

    Readers ignore the temporary file: Hive, Trino and Athena because of its leading dot, and a glob for
    *.parquet, as for DuckDB and polars, because of its ending. Its name identifies its database and policy,
    for the run that cleans up after a crash.
    """
    within = f"{folder(source.table_schema, source.table_name)}/{DAY}={day.isoformat() if day else UNDATED}"
    name = f"part-{source.run_id}-{number}-{secrets.token_hex(4)}"
    unfinished = f"{temporary_prefix(origin, source.policy)}{name}.unfinished"
    return f"{within}/{name}.parquet", f"{within}/{unfinished}"


def temporary_prefix(origin: str, policy: str) -> str:
    """The prefix of the names of a policy's unfinished files, different for each database."""
    return f".{sha256(f'{origin} {policy}'.encode()).hexdigest()[:12]}-"


def manifest_path(path: str) -> str:
    """The path of the manifest of the file at `path`: beside it, with a name that readers ignore."""
    parent, _, name = path.rpartition("/")
    return f"{parent}/_{name.removesuffix('.parquet')}.json"


def total_rows(files: Sequence[WrittenFile]) -> int:
    """The number of rows in all of the files."""
    return sum(file.rows for file in files)

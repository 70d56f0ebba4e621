"""A file of archived rows, and where it lies."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from hashlib import sha256
from urllib.parse import quote

from ops_pipeline.archive.columns import DAY, ArchivedColumn

UNDATED = "__HIVE_DEFAULT_PARTITION__"
"""What Hive's layout calls the folder of the rows without a value."""


@dataclass(frozen=True, slots=True)
class ArchivedTable:
    """What is archived: rows of one table, removed by one run of one policy.

    `day_column`: the name of the column whose UTC day a row is filed under; None: the day it is removed.
    `keys`: the names of columns by which rows are looked up.
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
    """A file of rows: `path` is where it belongs, `temporary_path` where it is until its rows are gone.

    `day` None: of no day between the years 1 and 9999. `bytes`, `sha256`: of the file as a whole.
    `oldest`, `newest`: of the day column; None also for a moment that no calendar of Python reaches.
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
    """A file that counts once the removal of its rows is committed."""

    source: ArchivedTable


def folder(schema: str, table: str) -> str:
    """The folder of a table's files, and of no other's. A table outside of `public` has its schema in front.

    A dot within a name is written as %2E, so that the one between schema and table is the only one.
    """
    parts = [table] if schema == "public" else [schema, table]
    return ".".join(quote(part, safe=" $@+=,~").replace(".", "%2E") for part in parts)


def place(source: ArchivedTable, day: date | None, number: int, origin: str) -> tuple[str, str]:
    """The path of a new file, and its temporary path beside it.

    No reader takes the temporary one for data: Hive, Trino and Athena pass over a leading dot, and a glob
    for *.parquet, as DuckDB and polars take one, over its ending. It carries a mark of the database and
    the policy it belongs to, for the run that cleans up after a crash.
    """
    within = f"{folder(source.table_schema, source.table_name)}/{DAY}={day.isoformat() if day else UNDATED}"
    name = f"part-{source.run_id}-{number}-{secrets.token_hex(4)}"
    unfinished = f"{temporary_prefix(origin, source.policy)}{name}.unfinished"
    return f"{within}/{name}.parquet", f"{within}/{unfinished}"


def temporary_prefix(origin: str, policy: str) -> str:
    """What the names of a policy's unfinished files begin with, in one database's part of the storage."""
    return f".{sha256(f'{origin} {policy}'.encode()).hexdigest()[:12]}-"


def manifest_path(path: str) -> str:
    """Where the description of the file at `path` lies: beside it, under a name no reader takes for data."""
    parent, _, name = path.rpartition("/")
    return f"{parent}/_{name.removesuffix('.parquet')}.json"


def total_rows(files: Sequence[WrittenFile]) -> int:
    """The rows in all of them."""
    return sum(file.rows for file in files)

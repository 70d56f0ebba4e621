"""A file of archived rows, and where it lies."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from hashlib import sha256
from urllib.parse import quote

from ops_pipeline.maintenance.archive.columns import DAY, Column

UNDATED = "__HIVE_DEFAULT_PARTITION__"
"""What Hive's layout calls the folder of the rows without a value."""


@dataclass(frozen=True, slots=True)
class Source:
    """What is archived: rows of one table, removed by one run of one policy.

    `day_column`: the name of the column whose UTC day a row is filed under; None: the day it is removed.
    """

    policy: str
    run_id: int
    table_schema: str
    table_name: str
    columns: tuple[Column, ...]
    day_column: str | None = None
    cutoff: datetime | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """A written file: `path` is where it belongs, `temporary_path` where it is until its rows are gone.

    `day` None: of no day between the years 1 and 9999. `bytes`, `sha256`: of the file as a whole.
    `oldest`, `newest`: of the day column; None also for a moment that no calendar of Python reaches.
    """

    source: Source
    day: date | None
    path: str
    temporary_path: str
    rows: int
    bytes: int
    sha256: str
    oldest: datetime | None
    newest: datetime | None


def folder(schema: str, table: str) -> str:
    """The folder of a table's files. A table outside of `public` has its schema in front."""
    name = quote(table if schema == "public" else f"{schema}.{table}", safe=" $@+=,~")
    return f"%2E{name[1:]}" if name.startswith(".") else name


def place(source: Source, day: date | None, number: int, origin: str) -> tuple[str, str]:
    """The path of a new part, and its temporary path beside it.

    No reader takes the temporary one for data: DuckDB, Spark and Athena pass over a leading dot. It
    carries a mark of the database and the policy it belongs to, for whoever cleans up after a crash.
    """
    within = f"{folder(source.table_schema, source.table_name)}/{DAY}={day.isoformat() if day else UNDATED}"
    name = f"part-{source.run_id}-{number}-{secrets.token_hex(4)}.parquet"
    return f"{within}/{name}", f"{within}/{temporary_prefix(origin, source.policy)}{name}"


def temporary_prefix(origin: str, policy: str) -> str:
    """What the names of a policy's unfinished files begin with, in one database's part of the storage."""
    return f".{sha256(f'{origin} {policy}'.encode()).hexdigest()[:12]}-"


def manifest_path(path: str) -> str:
    """Where the description of the part at `path` lies: beside it, under a name no reader takes for data."""
    parent, _, name = path.rpartition("/")
    return f"{parent}/_{name.removesuffix('.parquet')}.json"


def total_rows(parts: Sequence[Part]) -> int:
    """The rows in all of them."""
    return sum(each.rows for each in parts)

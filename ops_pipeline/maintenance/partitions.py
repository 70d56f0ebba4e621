"""Day partitions, created before a row needs them."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import psycopg
from psycopg import sql as compose

import sql
from ops_pipeline import database

DAYS_AHEAD = 14
TRIES = 5


class NotPartitionedError(Exception):
    """The table is not range-partitioned by one column."""


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition and the times it takes, `lower` included and `upper` not; None: no bound."""

    schema: str
    name: str
    lower: datetime | None
    upper: datetime | None
    is_default: bool


def ensure_ahead(connection: database.Connection, table: str) -> int:
    """Creates the partitions of today and the next 14 days (UTC) that do not exist yet; says how many.

    Raises as `ensure_days` does.
    """
    today = datetime.now(UTC).date()
    return ensure_days(connection, table, today, today + timedelta(days=DAYS_AHEAD))


def ensure_days(connection: database.Connection, table: str, first: date, last: date) -> int:
    """Creates the day partitions from `first` to `last`, both included, that do not exist yet.

    Rows of such a day that the default partition has taken meanwhile move into it. One transaction
    a day, so that a day which is done stays done. A partition of any width that covers the day will do.

    Returns how many were created. Raises NotPartitionedError, or psycopg.errors.LockNotAvailable when
    others held the table through every try.
    """
    schema, name, column = key(connection, table)
    if column is None:
        raise NotPartitionedError(f"{table} is not partitioned by a range of one column")
    with database.advisory_lock(connection, f"ops: partitions of {schema}.{name}", wait=True):
        present = existing(connection, table)
        default = next((each for each in present if each.is_default), None)
        missing = [day for day in _days(first, last) if not _covered(day, present)]
        for day in missing:
            parts = {
                "table": compose.Identifier(schema, name),
                "partition": compose.Identifier(schema, f"{name}_{day:%Y%m%d}"),
                "default": compose.Identifier(default.schema, default.name) if default else compose.SQL(""),
                "column": compose.Identifier(column),
                "lower": compose.Literal(_midnight(day).isoformat()),
                "upper": compose.Literal(_midnight(day + timedelta(days=1)).isoformat()),
            }
            _create(connection, parts, move_strays=default is not None)
    return len(missing)


def key(connection: database.Connection, table: str) -> tuple[str, str, str | None]:
    """The table's schema, its name, and the one column it is range-partitioned by, if it is."""
    schema, name, column = database.row(connection, sql.get("partitions/key"), {"table": table})
    return schema, name, column


def existing(connection: database.Connection, table: str) -> list[Partition]:
    """The partitions of that table, oldest first."""
    rows = connection.execute(sql.get("partitions/list_days"), {"table": table})
    return [Partition(*row) for row in rows]


def _create(
    connection: database.Connection, parts: Mapping[str, compose.Composable], *, move_strays: bool
) -> None:
    steps = ["create", *(["move_strays"] if move_strays else []), "attach"]
    for attempt in range(1, TRIES + 1):
        try:
            with connection.transaction():
                for step in steps:
                    connection.execute(compose.SQL(sql.get(f"partitions/{step}")).format(**parts))
        except psycopg.errors.LockNotAvailable:
            if attempt == TRIES:
                raise
            time.sleep(0.1 * 2**attempt)
        else:
            return


def _covered(day: date, partitions: list[Partition]) -> bool:
    start = _midnight(day)
    return any(
        each.lower is not None and each.lower <= start and (each.upper is None or start < each.upper)
        for each in partitions
    )


def _days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=offset) for offset in range((last - first).days + 1)]


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)

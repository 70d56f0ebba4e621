"""Checks whether a table can be adopted, before anything is changed."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import psycopg
from psycopg import sql as compose

import sql
from ops_pipeline.counted import counted
from ops_pipeline.postgres import disk
from ops_pipeline.postgres.connection import Connection, row
from ops_pipeline.postgres.relation import Relation, TableName, find_relation

MOST_DAYS = 400
"""How many days before today get their own partitions. Every query without a condition on the time opens
each of them and its indexes; older rows go into the default partition."""


class AdoptionRefusedError(Exception):
    """The table cannot be adopted. `reasons`: one for each thing to fix; nothing was changed."""

    def __init__(self, table: str, reasons: list[str]) -> None:
        lines = "".join(f"\n  - {reason}" for reason in reasons)
        super().__init__(f"{table} cannot be adopted; nothing was changed. Fix these first:{lines}")
        self.reasons = reasons


@dataclass(frozen=True, slots=True)
class Candidate:
    """A table that can be adopted. `time_zone`: the zone in which its times are read; None: unchanged."""

    relation: Relation
    column: str
    time_zone: str | None
    first_day: date
    rows: int


def table_to_adopt(connection: Connection, table: TableName) -> Relation:
    """The table of that name. Raises AdoptionRefusedError when it does not exist."""
    try:
        return find_relation(connection, table)
    except LookupError as error:
        raise AdoptionRefusedError(table.qualified, [str(error)]) from None


def candidate(connection: Connection, table: Relation, column: str, time_zone: str | None) -> Candidate:
    """The table, if it can be adopted. Raises AdoptionRefusedError with every reason why it cannot."""
    values = {"table": table.oid, "column": column}
    is_partitioned, parent, size, rows = row(connection, sql.get("partitions/adopt/table"), values)
    if is_partitioned:
        raise AdoptionRefusedError(str(table), ["it is already partitioned"])
    if parent is not None:
        raise AdoptionRefusedError(
            str(table),
            [
                f"it is a partition of {parent}, and only an ordinary table can be adopted; to make it one: "
                f"ALTER TABLE {parent} DETACH PARTITION {table}"
            ],
        )
    reasons = [reason for (reason,) in connection.execute(sql.get("partitions/adopt/obstacles"), values)]
    columns = connection.execute(sql.get("partitions/adopt/columns"), values).fetchall()
    reasons += _of_column(columns, column, time_zone)
    reasons += _of_disk(connection, size)
    if reasons:
        raise AdoptionRefusedError(str(table), reasons)
    types = {name: of_type for name, of_type, _ in columns}
    zone = time_zone if types[column].startswith("timestamp") and "without" in types[column] else None
    unset, earliest = _times(connection, table, column, zone)
    if unset:
        raise AdoptionRefusedError(
            str(table),
            [
                f"{column} is NULL in {counted(unset, 'row')}, for which there is no partition: UPDATE or "
                "DELETE them"
            ],
        )
    return Candidate(table, column, zone, _first_day(earliest), rows)


def _of_column(columns: list[tuple[str, str, int | None]], column: str, time_zone: str | None) -> list[str]:
    types = {name: of_type for name, of_type, _ in columns}
    keys = {name for name, _, key in columns if key is not None}
    if column not in types:
        return [f"column {column} does not exist; the table has: {', '.join(types)}"]
    plain = types[column].replace("(0)", "").split("(")[0].strip()
    if not (plain == "date" or plain.startswith("timestamp")):
        return [f"{column} is {types[column]}; it must be a timestamp or date column"]
    if time_zone is None:
        return []
    try:
        ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return [f"{time_zone!r} is not a time zone; write UTC or a name such as Europe/Berlin"]
    if column in keys and "without" in types[column]:
        return [f"{column} is in the primary key, so its type cannot be changed; remove --time-zone"]
    return []


def _of_disk(connection: Connection, size: int) -> list[str]:
    """Checks free disk space, if the server's disk is visible on this machine."""
    try:
        folder = row(connection, sql.get("partitions/adopt/data_folder"))[0]
    except psycopg.errors.InsufficientPrivilege:
        return []
    free = disk.free(connection, folder)
    if free is None or free >= size * 1.2:
        return []
    return [
        f"the copy needs about as much disk space as the table, {size / 2**20:,.0f} MiB, but only "
        f"{free / 2**20:,.0f} MiB are free in {folder}"
    ]


def _times(
    connection: Connection, table: Relation, column: str, zone: str | None
) -> tuple[int, datetime | None]:
    moment: compose.Composable = compose.Identifier(column)
    if zone is not None:
        moment = compose.SQL("({} AT TIME ZONE {})").format(moment, compose.Literal(zone))
    statement = compose.SQL(sql.get("partitions/adopt/times")).format(
        table=table.identifier, column=compose.Identifier(column), moment=moment
    )
    unset, earliest = row(connection, statement)
    return unset, earliest


def _first_day(earliest: datetime | None) -> date:
    today = datetime.now(UTC).date()
    if earliest is None:
        return today
    return min(today, max(earliest.astimezone(UTC).date(), today - timedelta(days=MOST_DAYS)))

"""What keeps a table from being adopted, found before anything is changed."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import psycopg
from psycopg import sql as compose

import sql
from ops_pipeline.partitions.adopt.adoption import named
from ops_pipeline.postgres import disk
from ops_pipeline.postgres.connection import Connection, row

MOST_DAYS = 400
"""Days before today that get partitions of their own. Every query of the table that names no time opens each
of them and each of their indexes; what is older lives in the default partition."""
WITHOUT_ZONE = "timestamp without time zone"
TIMES = ("timestamp with time zone", WITHOUT_ZONE, "date")


class AdoptionRefusedError(Exception):
    """The table cannot be adopted as it is. `reasons`: one for each thing to mend; nothing was changed."""

    def __init__(self, table: str, reasons: list[str]) -> None:
        lines = "".join(f"\n  - {each}" for each in reasons)
        super().__init__(f"{table} cannot be adopted as it is; nothing was changed:{lines}")
        self.reasons = reasons


@dataclass(frozen=True, slots=True)
class Candidate:
    """A table that can be adopted. `time_zone`: in which its times are to be read; None: as they are."""

    oid: int
    schema: str
    name: str
    column: str
    time_zone: str | None
    first_day: date
    rows: int

    @property
    def identifier(self) -> compose.Identifier:
        return compose.Identifier(self.schema, self.name)


def candidate(
    connection: Connection, schema: str, name: str, column: str, time_zone: str | None
) -> Candidate:
    """The table, once nothing stands in its way. Raises AdoptionRefusedError with all that does."""
    label = f"{schema}.{name}"
    found = named(connection, schema, name)
    if found is None:
        raise AdoptionRefusedError(label, ["there is no such table"])
    oid, kind, is_partition, size, rows = found
    if kind == "p":
        raise AdoptionRefusedError(label, ["it is partitioned already"])
    if kind != "r" or is_partition:
        raise AdoptionRefusedError(label, ["it is no ordinary table"])
    values = {"table": oid, "column": column}
    reasons = [reason for (reason,) in connection.execute(sql.get("partitions/adopt/obstacles"), values)]
    columns = connection.execute(sql.get("partitions/adopt/columns"), {"table": oid}).fetchall()
    reasons += _of_column(columns, column, time_zone)
    reasons += _of_disk(connection, size)
    if reasons:
        raise AdoptionRefusedError(label, reasons)
    types = {each: of_type for each, of_type, _ in columns}
    zone = time_zone if types[column].startswith("timestamp") and "without" in types[column] else None
    identifier = compose.Identifier(schema, name)
    unset, earliest = _times(connection, identifier, column, zone)
    if unset:
        raise AdoptionRefusedError(
            label,
            [
                f"{unset:,} rows have no {column} (it IS NULL), and a partition is chosen by it: "
                "UPDATE them to have one, or DELETE them"
            ],
        )
    return Candidate(oid, schema, name, column, zone, _first_day(earliest), rows)


def _of_column(columns: list[tuple[str, str, int | None]], column: str, time_zone: str | None) -> list[str]:
    types = {name: of_type for name, of_type, _ in columns}
    keys = {name for name, _, key in columns if key is not None}
    if column not in types:
        return [f"it has no column {column} that a row could be placed by; there is: {', '.join(types)}"]
    plain = types[column].replace("(0)", "").split("(")[0].strip()
    if not (plain == "date" or plain.startswith("timestamp")):
        return [f"{column} is {types[column]}; a column of time or date is needed"]
    if time_zone is None:
        return []
    try:
        ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return [f"{time_zone!r} is no time zone; write UTC or a name such as Europe/Berlin"]
    if column in keys and "without" in types[column]:
        return [f"{column} is in the primary key, so its type has to stay; leave --time-zone out"]
    return []


def _of_disk(connection: Connection, size: int) -> list[str]:
    """Only where the server's disk can be seen from here."""
    try:
        folder = row(connection, sql.get("partitions/adopt/data_folder"))[0]
    except psycopg.errors.InsufficientPrivilege:
        return []
    free = disk.free(connection, folder)
    if free is None or free >= size * 1.2:
        return []
    return [
        f"the copy takes about as much room as the table, {size / 2**20:,.0f} MiB, and "
        f"{free / 2**20:,.0f} MiB are free in {folder}"
    ]


def _times(
    connection: Connection, identifier: compose.Identifier, column: str, zone: str | None
) -> tuple[int, datetime | None]:
    moment: compose.Composable = compose.Identifier(column)
    if zone is not None:
        moment = compose.SQL("({} AT TIME ZONE {})").format(moment, compose.Literal(zone))
    statement = compose.SQL(sql.get("partitions/adopt/times")).format(
        table=identifier, column=compose.Identifier(column), moment=moment
    )
    unset, earliest = row(connection, statement)
    return unset, earliest


def _first_day(earliest: datetime | None) -> date:
    today = datetime.now(UTC).date()
    if earliest is None:
        return today
    return min(today, max(earliest.astimezone(UTC).date(), today - timedelta(days=MOST_DAYS)))

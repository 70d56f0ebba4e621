"""How a table's columns are archived: their types in the files, and the SQL that converts them losslessly."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from psycopg import sql as compose

import sql
from ops_pipeline.postgres.connection import Connection

Travels = Literal[
    "bool", "int16", "int32", "int64", "float", "double", "string", "binary", "date", "timestamp",
    "timestamptz", "text", "oid",
]  # fmt: skip
"""How values are stored in the file: an Arrow type that can represent every value of the column's type. text:
cast to text, as every PostgreSQL type can be, and back. oid: a reference to a catalog object, stored as its
number."""

NATIVE: dict[int, Travels] = {
    16: "bool",
    17: "binary",
    20: "int64",
    21: "int16",
    23: "int32",
    25: "string",
    700: "float",
    701: "double",
    1042: "string",
    1043: "string",
    1082: "date",
    1114: "timestamp",
    1184: "timestamptz",
}
"""By the type's oid, which is fixed for PostgreSQL's own types (src/include/catalog/pg_type.dat)."""

NAMES_OF_CATALOG = {24, 2202, 2203, 2204, 2205, 2206, 3734, 3769, 4089, 4096, 4191}
"""regproc, regclass and similar types. Their text depends on the search path."""

IN_RANGE = {
    "date": "{} > '-infinity' AND {} < 'infinity'",
    "timestamp": "{} > '-infinity' AND {} < '294247-01-01'",
    "timestamptz": "{} > '-infinity' AND {} < '294247-01-01 00:00:00+00'",
}
"""The values that Arrow can represent with 64 bits of microseconds since 1970, or 32 bits of days: no
infinities, and no time after January 294247."""

MOST_PAIRS = 50
"""How many pairs one call of jsonb_build_object takes: a function has at most 100 arguments."""

DAY = "day"
"""The key of the folders (day=…). A reader of Hive's layout would hide a file's column of that name."""


@dataclass(frozen=True, slots=True)
class ArchivedColumn:
    """A column: `name` in the table, `type` as PostgreSQL writes it in full, `field` in the files."""

    name: str
    type: str
    travels: Travels
    field: str
    generated: bool = False

    @property
    def temporal(self) -> bool:
        """Whether it may have values that Arrow cannot represent."""
        return self.travels in IN_RANGE


def columns_of(connection: Connection, oid: int) -> tuple[ArchivedColumn, ...]:
    """The columns of that table, in its order. The database must be migrated (`ops.type_name`)."""
    rows = connection.execute(sql.get("archive/columns"), {"oid": oid}).fetchall()
    taken = {name.lower() for name, *_ in rows}
    return tuple(
        ArchivedColumn(name, type_name, _travels(type_oid), _field(name, taken), generated)
        for name, type_name, type_oid, generated in rows
    )


def keys(connection: Connection, oid: int) -> tuple[str, ...]:
    """The names of that table's columns that are in its unique indexes and foreign keys."""
    return tuple(name for (name,) in connection.execute(sql.get("archive/key_columns"), {"oid": oid}))


def out_of_range_field(columns: Sequence[ArchivedColumn]) -> str | None:
    """The name of the extra field for values that the other fields cannot represent, as JSON by field; None
    where no column can have such values."""
    if not any(column.temporal for column in columns):
        return None
    return _free("_out_of_range", {column.field.lower() for column in columns})


def select_list(columns: Sequence[ArchivedColumn], alias: str) -> compose.Composable:
    """The SELECT or RETURNING list for rows of `alias` that archives them losslessly.

    Use it in an `ArrowSession` only: the text of some types depends on the session's settings.
    """
    items = [_item(column, alias) for column in columns]
    extra = out_of_range_field(columns)
    if extra is not None:
        items.append(_out_of_range([column for column in columns if column.temporal], alias, extra))
    return compose.SQL(", ").join(items)


def _travels(type_oid: int) -> Travels:
    return "oid" if type_oid in NAMES_OF_CATALOG else NATIVE.get(type_oid, "text")


def _field(name: str, taken: set[str]) -> str:
    return _free(name, taken) if name.lower() == DAY else name


def _free(name: str, taken: set[str]) -> str:
    while name.lower() in taken:
        name += "_"
    return name


def _item(column: ArchivedColumn, alias: str) -> compose.Composable:
    value = compose.Identifier(alias, column.name)
    item: compose.Composable
    match column.travels:
        case "text":
            item = compose.SQL("{}::text").format(value)
        case "oid":
            item = compose.SQL("{}::oid::text").format(value)
        case "date" | "timestamp" | "timestamptz":
            item = compose.SQL("CASE WHEN {} THEN {} END").format(_in_range(column, alias), value)
        case _:
            item = value
    return compose.SQL("{} AS {}").format(item, compose.Identifier(column.field))


def _in_range(column: ArchivedColumn, alias: str) -> compose.Composable:
    value = compose.Identifier(alias, column.name)
    return compose.SQL(IN_RANGE[column.travels]).format(value, value)


def _out_of_range(temporal: Sequence[ArchivedColumn], alias: str, extra: str) -> compose.Composable:
    # The first CASE decides the common case; JSON is built for rare rows only.
    all_in_range = compose.SQL(" AND ").join(
        compose.SQL("({}) IS NOT FALSE").format(_in_range(column, alias)) for column in temporal
    )
    pairs = [
        compose.SQL("{}, CASE WHEN {} THEN NULL ELSE {}::text END").format(
            compose.Literal(column.field), _in_range(column, alias), compose.Identifier(alias, column.name)
        )
        for column in temporal
    ]
    objects = [
        compose.SQL("jsonb_build_object({})").format(
            compose.SQL(", ").join(pairs[start : start + MOST_PAIRS])
        )
        for start in range(0, len(pairs), MOST_PAIRS)
    ]
    return compose.SQL("CASE WHEN {} THEN NULL ELSE jsonb_strip_nulls({})::text END AS {}").format(
        all_in_range, compose.SQL(" || ").join(objects), compose.Identifier(extra)
    )

"""What the database says about the tables that policies name."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg import sql as compose

import sql
from ops_pipeline import policy
from ops_pipeline.database import Connection, row, scalar
from ops_pipeline.maintenance import partitions
from ops_pipeline.policy_file import Place, PolicyError, nearest

BUFFER_USAGE_LIMIT_SINCE = 160000
"""The version of the server, as it numbers itself, that lets VACUUM have more or less of its cache."""
TIME_TYPES = ("timestamp with time zone", "timestamp without time zone", "date")


@dataclass(frozen=True, slots=True)
class Relation:
    """A table that exists."""

    oid: int
    schema: str
    name: str

    @property
    def identifier(self) -> compose.Identifier:
        return compose.Identifier(self.schema, self.name)

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True, slots=True)
class Heap:
    """A table's own storage, or a leaf partition's. `lower`: no row in it is older than that."""

    relation: Relation
    blocks: int
    lower: datetime | None


def relation(connection: Connection, table: str) -> Relation:
    """The table of that name, or `schema.table`. Raises LookupError with what there is instead."""
    quoted = compose.Identifier(*table.split(".")).as_string(connection)
    found = connection.execute(sql.get("catalog/relation"), {"table": quoted}).fetchone()
    if found is None:
        tables = [name for (name,) in connection.execute(sql.get("catalog/tables"))]
        raise LookupError(f'there is no table "{table}"; {nearest(table, tables)}')
    return Relation(*found)


def primary_key(connection: Connection, table: Relation) -> tuple[str, ...]:
    """The columns of the table's primary key; empty when it has none."""
    rows = connection.execute(sql.get("catalog/primary_key"), {"oid": table.oid})
    return tuple(name for (name,) in rows)


def columns(connection: Connection, table: Relation) -> dict[str, str]:
    """The table's columns in their order, each with its type."""
    return dict(connection.execute(sql.get("catalog/columns"), {"oid": table.oid}).fetchall())


def array_types(
    connection: Connection, table: Relation, columns: Sequence[str]
) -> tuple[tuple[str, str], ...]:
    """For each named column the type, by schema and name, that holds an array of its values."""
    values = {"oid": table.oid, "columns": list(columns)}
    return tuple(
        (schema, name) for schema, name in connection.execute(sql.get("catalog/array_types"), values)
    )


def index_on(connection: Connection, table: Relation, columns: Sequence[str]) -> tuple[str, ...] | None:
    """The columns in the order of a sorted, whole, valid index that begins with just those; None: no such."""
    values = {"oid": table.oid, "columns": list(columns)}
    found = connection.execute(sql.get("catalog/index_on"), values).fetchone()
    return None if found is None else tuple(found[0])


def is_partitioned(connection: Connection, table: Relation) -> bool:
    """Whether the table's rows are in partitions."""
    return bool(scalar(connection, sql.get("catalog/is_partitioned"), {"oid": table.oid}))


def size(connection: Connection, table: Relation) -> int:
    """The table's own bytes, indexes left out."""
    return int(scalar(connection, sql.get("catalog/size"), {"oid": table.oid}))


def heaps(connection: Connection, table: Relation, column: str) -> list[Heap]:
    """Where the table's rows are, in the order of their names."""
    rows = connection.execute(sql.get("catalog/leaves"), {"oid": table.oid, "column": column})
    return [Heap(Relation(oid, schema, name), blocks, lower) for oid, schema, name, blocks, lower in rows]


def dead_tuples(connection: Connection, table: Relation) -> int:
    """Dead row versions that wait for VACUUM, this session's own last statements included."""
    return _tuples(connection, table)[0]


def expected_rows(connection: Connection, table: Relation) -> int:
    """How many rows PostgreSQL expects the table to have, by its statistics and size."""
    statement = compose.SQL(sql.get("catalog/expected_rows")).format(table=table.identifier)
    (plan,) = scalar(connection, statement)
    return int(plan["Plan"]["Plan Rows"])


def live_tuples(connection: Connection, table: Relation) -> int:
    """Live rows, as the statistics know them."""
    return _tuples(connection, table)[1]


def observed(connection: Connection, table: Relation) -> tuple[int, int, int]:
    """Live rows, dead rows and bytes of the table with all its partitions, by the server's statistics."""
    connection.execute(sql.get("catalog/flush_statistics"))
    live, dead, size = row(connection, sql.get("catalog/observed"), {"oid": table.oid})
    return live, dead, size


def _tuples(connection: Connection, table: Relation) -> tuple[int, int]:
    connection.execute(sql.get("catalog/flush_statistics"))
    dead, live = row(connection, sql.get("catalog/tuples"), {"oid": table.oid})
    return dead, live


def check(connection: Connection, database: policy.Database) -> None:
    """Holds a database's policies against its tables and columns.

    Raises PolicyError with every problem found; nothing has been changed then.
    """
    problems: list[str] = []
    for each in database.policies:
        match each:
            case policy.Retention():
                problems += _retention_problems(connection, each)
            case policy.Orphans():
                problems += _orphan_problems(connection, each)
            case policy.Vacuum():
                problems += _vacuum_problems(connection, each)
    if problems:
        raise PolicyError(problems)


def _vacuum_problems(connection: Connection, rule: policy.Vacuum) -> list[str]:
    problems: list[str] = []
    for index, table in enumerate(rule.tables if rule.tables != "all" else ()):
        _find(connection, table, rule.place / "tables", index, problems)
    version = connection.info.server_version
    if rule.buffer_usage_limit is not None and version < BUFFER_USAGE_LIMIT_SINCE:
        problems.append(
            rule.place.problem(
                "buffer_usage_limit",
                f"PostgreSQL 16 brought it, and this server is {version // 10_000}; leave this key out",
            )
        )
    return problems


def _retention_problems(connection: Connection, rule: policy.Retention) -> list[str]:
    problems: list[str] = []
    table = _find(connection, rule.table, rule.place, "table", problems)
    if table is None:
        return problems
    of_type = _type_of(connection, table, rule.column, rule.place, "column", problems)
    if of_type is not None and of_type not in TIME_TYPES:
        problems.append(
            rule.place.problem("column", f"{rule.column} is {of_type}; a column of time or date is needed")
        )
    if rule.partition is not None and partitions.key(connection, str(table))[2] != rule.column:
        problems.append(
            rule.place.problem(
                "partition", f"{table} is not partitioned by range of {rule.column}; leave this key out"
            )
        )
    return problems


SMALL_PARENT_BYTES = 8 * 1024 * 1024
"""A parent up to this size is hashed for each window in no time, so it needs no index."""


def _orphan_problems(connection: Connection, rule: policy.Orphans) -> list[str]:
    problems: list[str] = []
    child = _find(connection, rule.table, rule.place, "table", problems)
    parent = _find(connection, rule.parent, rule.place, "references", problems)
    if child is None or parent is None:
        return problems
    key = "column" if len(rule.columns) == 1 else "columns"
    for column, parent_column in zip(rule.columns, rule.parent_columns, strict=True):
        child_type = _type_of(connection, child, column, rule.place, key, problems)
        parent_type = _type_of(connection, parent, parent_column, rule.place, "references", problems)
        if child_type and parent_type and child_type != parent_type:
            problems.append(
                rule.place.problem(
                    "references",
                    f"{parent_column} is {parent_type}, but {column} is {child_type}; "
                    "columns of one type are needed",
                )
            )
    if problems or index_on(connection, parent, rule.parent_columns) is not None:
        return problems
    if size(connection, parent) > SMALL_PARENT_BYTES:
        named = ", ".join(rule.parent_columns)
        statement = compose.SQL("CREATE INDEX {}ON {} ({})").format(
            compose.SQL("" if is_partitioned(connection, parent) else "CONCURRENTLY "),
            parent.identifier,
            compose.SQL(", ").join(map(compose.Identifier, rule.parent_columns)),
        )
        problems.append(
            rule.place.problem(
                "references",
                f"no index of {parent} leads with {named}, so for each batch all of it would be read; "
                f"create one first: {statement.as_string(connection)}",
            )
        )
    return problems


def _find(
    connection: Connection, table: str, place: Place, key: str | int, problems: list[str]
) -> Relation | None:
    try:
        return relation(connection, table)
    except LookupError as error:
        problems.append(place.problem(key, str(error)))
        return None


def _type_of(
    connection: Connection, table: Relation, column: str, place: Place, key: str, problems: list[str]
) -> str | None:
    types = columns(connection, table)
    if column not in types:
        problems.append(
            place.problem(key, f'{table} has no column "{column}"; {nearest(column, list(types))}')
        )
    return types.get(column)

"""Creates a partition: as a separate table, which is then attached."""

from collections.abc import Callable
from datetime import time, timedelta

from psycopg import sql as compose

import sql
from ops_pipeline.partitions.gaps import Range
from ops_pipeline.partitions.partition import Partitioned
from ops_pipeline.postgres.connection import Connection, row, scalar

LONGEST_NAME = 62
"""Bytes; PostgreSQL truncates names after 63. The name of a table's array type is a byte longer than the
table's: where it is truncated, it is soon the same for many partitions, which PostgreSQL 15 refuses."""
NAMES_TRIED = 1000


def attach_new(
    connection: Connection,
    table: Partitioned,
    times: Range,
    fill: Callable[[compose.Identifier], object] = lambda _: None,
    named: str | None = None,
) -> None:
    """Creates the partition for that range of times, in the connection's current transaction.

    It is created LIKE its table, has the table's owner, is in the schema of most other partitions, and its
    name begins with its table's, or with `named`. `fill` may insert rows before it is attached.

    Raises psycopg.Error; CheckViolation where the default partition contains rows of that range.
    """
    schema = str(scalar(connection, sql.get("partitions/siblings_schema"), {"table": table.oid}))
    name = _free_name(connection, schema, times, named or table.name)
    parts: dict[str, compose.Composable] = {
        "table": table.identifier,
        "partition": compose.Identifier(schema, name),
        "lower": compose.Literal(times.lower.isoformat()),
        "upper": compose.Literal(times.upper.isoformat()),
    }
    connection.execute(compose.SQL(sql.get("partitions/create")).format(**parts))
    owner, is_other = row(connection, sql.get("partitions/owner"), {"table": table.oid})
    if is_other:
        parts["owner"] = compose.Identifier(owner)
        connection.execute(compose.SQL(sql.get("partitions/own")).format(**parts))
    fill(compose.Identifier(schema, name))
    connection.execute(compose.SQL(sql.get("partitions/attach")).format(**parts))


def _free_name(connection: Connection, schema: str, times: Range, start: str) -> str:
    suffix = f"_{times.lower:%Y%m%d}"
    if times.lower.timetz().replace(tzinfo=None) != time() or times.upper - times.lower < timedelta(days=1):
        suffix += f"_{times.lower:%H%M%S}"
    statement, plain = sql.get("partitions/free_name"), shortened(start, suffix)
    if connection.execute(statement, {"names": [plain], "schema": schema}).fetchone() is not None:
        return plain
    numbered = [shortened(start, f"{suffix}_{number}") for number in range(2, NAMES_TRIED)]
    return str(scalar(connection, statement, {"names": numbered, "schema": schema}))


def shortened(name: str, suffix: str) -> str:
    """The name with the suffix; the name's end is cut off where both together are too long."""
    room = LONGEST_NAME - len(suffix)
    return name.encode()[:room].decode(errors="ignore") + suffix

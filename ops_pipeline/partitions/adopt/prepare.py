"""Creates the new table of an adoption, its partitions and foreign keys, and the trigger for changes."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from psycopg import sql as compose

import sql
from ops_pipeline.partitions.adopt.adoption import (
    Adoption,
    AdoptionError,
    Statements,
    free_name,
    numbered,
    open_adoption,
    record_event,
    relation,
    run_all,
)
from ops_pipeline.partitions.adopt.obstacles import Candidate
from ops_pipeline.partitions.create import shortened
from ops_pipeline.partitions.premake import PREMAKE_DAYS, premake_days
from ops_pipeline.postgres.connection import Connection, row, scalar
from ops_pipeline.postgres.locks import TableLock, with_short_lock
from ops_pipeline.postgres.relation import TableName, find_relation, our_table

NOW = ("CURRENT_TIMESTAMP", "now()", "LOCALTIMESTAMP", "transaction_timestamp()")


def begin(connection: Connection, chosen: Candidate) -> Adoption:
    """Creates the new table, empty and without day partitions; the old table is not changed."""
    with connection.transaction():
        connection.execute(sql.get("partitions/adopt/search_path"))
        old = chosen.relation
        new_name = TableName(old.schema, free_name(connection, old.schema, *numbered(old.name, "_adopting")))
        _create(connection, chosen, new_name.identifier)
        default = free_name(connection, old.schema, *numbered(old.name, "_default"))
        connection.execute(
            compose.SQL(sql.get("partitions/adopt/new_default")).format(
                new=new_name.identifier, partition=compose.Identifier(old.schema, default)
            )
        )
        tables = {"old": old.oid, "new": find_relation(connection, new_name).oid}
        run_all(connection, "partitions/adopt/carry_over", tables)
        values = {
            **tables,
            "schema": old.schema,
            "name": old.name,
            "column": chosen.column,
            "time_zone": chosen.time_zone,
            "first_day": chosen.first_day,
        }
        (number,) = row(connection, sql.get("partitions/adopt/begin"), values)
        begun = open_adoption(connection, old.table_name)
        if begun is None or begun.id != number:
            raise AdoptionError(f"another session is adopting {old}; nothing was changed")
        details = {"table": str(begun), "adoption": begun.id, "rows": chosen.rows}
        record_event(connection, "table.adoption_started", details)
        return begun


def complete(connection: Connection, begun: Adoption) -> Adoption:
    """Creates the new table's partitions and foreign keys; then starts recording changes of the old table.

    What exists already is kept, so it can be called again after a crash. Raises LockedError.
    """
    new = relation(connection, begun.new)
    last = datetime.now(UTC).date() + timedelta(days=PREMAKE_DAYS)
    premake_days(connection, new, begun.first_day, last, named=begun.table.name)

    def add_foreign_keys() -> None:
        connection.execute(sql.get("partitions/adopt/search_path"))
        run_all(connection, "partitions/adopt/foreign_keys", {"old": begun.old, "new": begun.new})

    with_short_lock(
        connection,
        TableLock(begun.old, "AccessShareLock"),
        add_foreign_keys,
        purpose=f"Adding foreign keys to the new table of {begun}",
    )

    def record_changes() -> Adoption:
        connection.execute(sql.get("partitions/adopt/search_path"))
        statements = Statements(connection, begun)
        connection.execute(statements("changes_table"))
        connection.execute(statements("changes_place"))
        connection.execute(statements("record_function"))
        connection.execute(statements("record_trigger"))
        connection.execute(sql.get("partitions/adopt/advance"), {"id": begun.id, "state": "copying"})
        return replace(begun, state="copying")

    return with_short_lock(
        connection,
        TableLock(begun.old, "ShareRowExclusiveLock"),
        record_changes,
        purpose=f"Creating the trigger that records changes of {begun}",
    )


def _create(connection: Connection, chosen: Candidate, new: compose.Identifier) -> None:
    old = chosen.relation
    columns = connection.execute(sql.get("partitions/adopt/columns"), {"table": old.oid})
    keys = [name for _, name in sorted((key, name) for name, _, key in columns if key is not None)]
    parts: dict[str, compose.Composable] = {
        "shape": our_table(f"adoption_shape_{old.oid}").identifier,
        "old": old.identifier,
        "new": new,
        "column": compose.Identifier(chosen.column),
    }

    def run(statement: str, **more: compose.Composable) -> None:
        connection.execute(compose.SQL(sql.get(f"partitions/adopt/{statement}")).format(**{**parts, **more}))

    run("shape")
    if chosen.time_zone is not None:
        _convert(connection, chosen, parts)
    run("new_table")
    run("drop_shape")
    others = [compose.Identifier(key) for key in keys if key != chosen.column]
    key_index = scalar(connection, sql.get("partitions/adopt/key_index_of"), {"table": old.oid})
    run(
        "new_key",
        name=compose.Identifier(f"ops_adoption_{key_index}"),
        columns=compose.SQL(", ").join([parts["column"], *others]),
    )
    if chosen.column not in keys[:1]:
        wanted = shortened(f"idx_{old.name}", "_" + "_".join(keys))
        name = free_name(connection, old.schema, wanted, *numbered(old.name, "_old_key"))
        run(
            "key_index",
            name=compose.Identifier(name),
            columns=compose.SQL(", ").join(compose.Identifier(key) for key in keys),
        )


def _convert(connection: Connection, chosen: Candidate, parts: dict[str, compose.Composable]) -> None:
    values = {"table": chosen.relation.oid, "column": chosen.column}
    default = connection.execute(sql.get("partitions/adopt/default_of"), values).fetchone()
    zone = compose.Literal(chosen.time_zone)
    connection.execute(compose.SQL(sql.get("partitions/adopt/convert")).format(zone=zone, **parts))
    if default is not None:
        # The current time where that was the old default; otherwise the old default, read in the zone.
        expression = (
            "CURRENT_TIMESTAMP"
            if default[0] in NOW
            else f"(({default[0]}) AT TIME ZONE {zone.as_string(connection)})"
        )
        statement = f"ALTER TABLE {parts['shape'].as_string(connection)} ALTER COLUMN "
        statement += f"{parts['column'].as_string(connection)} SET DEFAULT {expression}"
        connection.execute(statement.encode())

"""Rows that remain although a run was to delete them: what may keep them, and what is said of it."""

from collections.abc import Iterator

from ops_pipeline.finding import Finding
from ops_pipeline.maintenance import references
from ops_pipeline.postgres import on_delete, row_security
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.relation import Relation


def advice(connection: Connection, table: Relation) -> Iterator[str]:
    """What a plan says of the application's triggers on DELETE of the table, a line each."""
    yield from map(str, triggers(connection, table))
    yield from map(str, raising_triggers(connection, table))


def triggers(connection: Connection, table: Relation) -> Iterator[Finding]:
    """The application's triggers on DELETE of the table."""
    for trigger in on_delete.triggers(connection, table):
        yield Finding(
            str(trigger.table),
            f"the trigger {trigger} runs when rows are deleted: rows that it keeps or puts back remain, and "
            "the run is stopped then; what it does to other rows is recorded by the run, but neither counted "
            "before nor archived, and holds do not protect them",
        )


def raising_triggers(connection: Connection, table: Relation) -> list[Finding]:
    """The triggers that deleting from the table fires, also through foreign keys, and that would raise: they
    read a table whose rows are hidden."""
    children = (
        (key.child, on_delete.DELETE if key.on_delete == "c" else on_delete.UPDATE)
        for key in references.acting(connection, table)
    )
    return row_security.raising_triggers(connection, {(table, on_delete.DELETE), *children})


def reason(connection: Connection, table: Relation, rows: int, what: str) -> str:
    """Why a run that came to its end is not done: so many rows (`what`: expired or orphaned) remain."""
    remaining = rows_remain(table, rows, what)
    if fired := on_delete.triggers(connection, table):
        named = ", ".join(map(str, fired))
        return (
            f"{remaining}: the trigger {named} may have kept them or put them back. Batches of which every "
            "row was kept were rolled back. Change the trigger, or disable it, then run again"
        )
    return (
        f"{remaining}: other sessions had locked them, or wrote them while the run was at work. "
        "The next run tries again"
    )


def rows_remain(table: Relation, rows: int, what: str) -> str:
    """That so many rows remain, in a sentence to go on."""
    return (
        f"{rows:,} {what} {'row' if rows == 1 else 'rows'} of {table} {'remains' if rows == 1 else 'remain'}"
    )

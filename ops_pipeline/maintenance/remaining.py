"""Explains why rows remain that a run should have deleted: triggers, locks, new rows."""

from collections.abc import Iterator

from ops_pipeline.counted import counted
from ops_pipeline.finding import Finding
from ops_pipeline.maintenance import references
from ops_pipeline.opsctl import opsctl
from ops_pipeline.postgres import on_delete, row_security
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.relation import Relation


def advice(connection: Connection, table: Relation) -> Iterator[str]:
    """What a plan says about the application's DELETE triggers on the table, a line each."""
    yield from map(str, triggers(connection, table))
    yield from map(str, raising_triggers(connection, table))


def triggers(connection: Connection, table: Relation) -> Iterator[Finding]:
    """The application's DELETE triggers on the table."""
    for trigger in on_delete.triggers(connection, table):
        yield Finding(
            str(trigger.table),
            f"the trigger {trigger} runs when rows are deleted: if it keeps rows or puts them back, they "
            "remain and the run ends as stopped; what it does to other rows is recorded by the run, but not "
            "counted by the plan and not archived, and holds do not protect them",
        )


def raising_triggers(connection: Connection, table: Relation) -> list[Finding]:
    """The triggers that deletes from the table fire, also through foreign keys, and that would raise an error
    because they read a table whose rows are hidden."""
    children = (
        (key.child, on_delete.DELETE if key.on_delete == "c" else on_delete.UPDATE)
        for key in references.acting(connection, table)
    )
    return row_security.raising_triggers(connection, {(table, on_delete.DELETE), *children})


def reason(connection: Connection, policy: str, table: Relation, rows: int, what: str) -> str:
    """Why a run of the policy that reached its end is not done: `rows` rows (`what`: expired or orphaned)
    remain."""
    remaining, run = rows_remain(table, rows, what), opsctl("run", policies=[policy])
    if fired := on_delete.triggers(connection, table):
        named = ", ".join(map(str, fired))
        return (
            f"{remaining}: the trigger {named} may have kept them or put them back. Batches in which every "
            f"row was kept were rolled back. Change or disable the trigger, then run `{run}`"
        )
    locked = f"{remaining}: other sessions had locked them, or wrote them during the run"
    if what == "orphaned":
        return f"{locked}. The first run after another grace period deletes them"
    return f"{locked}. The next run deletes them. To delete them now: {run}"


def rows_remain(table: Relation, rows: int, what: str) -> str:
    """The beginning of a sentence that says how many rows remain."""
    return f"{counted(rows, f'{what} row')} of {table} {'remains' if rows == 1 else 'remain'}"

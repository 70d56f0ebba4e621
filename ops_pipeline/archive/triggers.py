"""Disables the application's INSERT triggers during a restore: they already fired for the original rows."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from psycopg import sql as compose

import sql
from ops_pipeline.archive.target import UNTOUCHED, RestoreRefusedError, present_user, written
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.relation import Relation, quoted


@dataclass(frozen=True, slots=True)
class Trigger:
    """A trigger that fires on INSERT. `always`: also on a replica (ENABLE ALWAYS)."""

    name: str
    always: bool
    table: Relation
    owner: str
    is_ours_to_alter: bool

    def __str__(self) -> str:
        return f"{quoted(self.name)} on {self.table}"


def insert_triggers(connection: Connection, table: Relation) -> list[Trigger]:
    """The triggers that an INSERT into the table fires, including those of its partitions.

    Without ours: the audit log's handles restored rows, and an adoption must see every row. Raises
    RestoreRefusedError when the current user may not disable one.
    """
    rows = connection.execute(sql.get("archive/insert_triggers"), {"oid": table.oid}).fetchall()
    triggers = [
        Trigger(name, enabled == "A", Relation(*relation), owner, alterable)
        for name, enabled, *relation, owner, alterable in rows
    ]
    if others := [trigger for trigger in triggers if not trigger.is_ours_to_alter]:
        user = present_user(connection)
        named = ", ".join(map(str, others))
        owners = ", ".join(sorted({written(trigger.owner) for trigger in others}))
        raise RestoreRefusedError(
            f"Restored rows would fire {named}, and only the owner of a table may disable its triggers. To "
            f"let {user} do that: GRANT {owners} TO {user}; or add --triggers to let them fire. {UNTOUCHED}"
        )
    return triggers


@contextmanager
def switched_off(connection: Connection, triggers: Sequence[Trigger]) -> Iterator[None]:
    """Disables the triggers inside the context, in the caller's transaction, which locks out other writers.

    Foreign keys and other constraints are checked as usual, deferred ones at the end of the context. Raises
    psycopg.errors.LockNotAvailable, psycopg.IntegrityError.
    """
    for trigger in triggers:
        connection.execute(
            compose.SQL(sql.get("archive/trigger_off")).format(
                table=trigger.table.identifier, trigger=compose.Identifier(trigger.name)
            )
        )
    yield
    if triggers:
        # A table with pending deferred checks cannot be altered.
        connection.execute(sql.get("postgres/check_now"))
    for trigger in triggers:
        connection.execute(
            compose.SQL(sql.get("archive/trigger_on")).format(
                table=trigger.table.identifier,
                always=compose.SQL("ALWAYS" if trigger.always else ""),
                trigger=compose.Identifier(trigger.name),
            )
        )

"""The application's triggers, which have had their say on a row when it came first."""

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
    """A trigger that fires for an INSERT. `always`: also for a replication worker's."""

    name: str
    always: bool
    table: Relation
    owner: str
    is_ours_to_alter: bool

    def __str__(self) -> str:
        return f"{quoted(self.name)} on {self.table}"


def insert_triggers(connection: Connection, table: Relation) -> list[Trigger]:
    """The triggers that rows put into the table would fire, those of its partitions among them.

    Ours are none of them: the audit log's knows restored rows, and an adoption must see every row. Raises
    RestoreRefusedError when the present user may not switch one off.
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
            f"Restored rows would fire {named}, and only the owner of a table may switch its triggers off "
            f"for a restore. Let {user} do that: GRANT {owners} TO {user}; or add --triggers to have "
            f"them fire. {UNTOUCHED}"
        )
    return triggers


@contextmanager
def switched_off(connection: Connection, triggers: Sequence[Trigger]) -> Iterator[None]:
    """None of them fires meanwhile, in the caller's transaction, which keeps other writers from their tables.

    Foreign keys and other constraints are checked as ever, deferred ones at the end of this. Raises
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
        # A table with checks to come cannot be altered.
        connection.execute(sql.get("postgres/check_now"))
    for trigger in triggers:
        connection.execute(
            compose.SQL(sql.get("archive/trigger_on")).format(
                table=trigger.table.identifier,
                always=compose.SQL("ALWAYS" if trigger.always else ""),
                trigger=compose.Identifier(trigger.name),
            )
        )

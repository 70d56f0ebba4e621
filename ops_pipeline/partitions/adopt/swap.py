"""The new table takes the old one's place, in one short transaction."""

import sql
from ops_pipeline.holds import holds
from ops_pipeline.partitions.adopt.adoption import (
    Adoption,
    AdoptionError,
    Statements,
    advance,
    free_name,
    numbered,
    relation,
    waiting,
)
from ops_pipeline.partitions.adopt.copy import CopySizes, apply, catch_up, next_changes
from ops_pipeline.postgres.connection import Connection, row, scalar
from ops_pipeline.postgres.locks import TableLock, with_short_lock

FEW_CHANGES = 100
"""What may be left to bring over while everybody waits."""
MOST_CHANGES = 2_000
"""With more than that, come in the moment before the lock was had, the swap is given up."""
ROUNDS = 50


def swap(connection: Connection, adoption: Adoption, rows: int, sizes: CopySizes) -> Adoption:
    """Renames both tables, with their indexes and sequences, once the last changes are over and compared.

    Others wait for the table as long as that takes, and for its lock at most the timeout of
    `partitions.locks`. Raises LockedError or AdoptionError; the old table is in place and whole then.
    """
    statements = Statements(connection, adoption)
    for _ in range(ROUNDS):
        catch_up(connection, statements, sizes)
        if waiting(connection, statements) <= FEW_CHANGES:
            break
    names = numbered(adoption.table.name, "_before_adoption")
    old_name = free_name(connection, adoption.table.schema, *names)

    def work() -> Adoption:
        connection.execute(sql.get("partitions/adopt/search_path"))
        connection.execute(statements("lock_both"))
        if waiting(connection, statements) > MOST_CHANGES:
            raise AdoptionError(
                f"{adoption}: changes come faster than they can be brought over. The table is in place and "
                "whole; run the same command again at a quieter time"
            )
        differing = _apply_last(connection, statements)
        unset = waiting(connection, statements)
        if differing or unset:
            raise AdoptionError(
                f"{adoption}: {differing or unset:,} rows that were changed last are not the same in the "
                f"new table, where a row without {adoption.column} has no place. The table is in place and "
                "whole; give such rows a time or remove them, then run the same command again"
            )
        clear_holds = _clear_holds(connection, adoption)
        values = {"old": adoption.old, "new": adoption.new, "old_name": old_name}
        texts = [text for (text,) in connection.execute(sql.get("partitions/adopt/swap"), values)]
        connection.execute("; ".join(texts).encode())
        holds.follow(connection, clear_holds, relation(connection, adoption.new))
        connection.execute(statements("drop_recorder"))
        connection.execute(statements("drop_table", table=adoption.changes))
        return advance(connection, adoption, "swapped", rows=rows, kept=old_name)

    return with_short_lock(
        connection,
        TableLock(adoption.old, "AccessExclusiveLock", (adoption.new,)),
        work,
        purpose=f"Putting the new table in the place of {adoption}",
    )


def _clear_holds(connection: Connection, adoption: Adoption) -> list[holds.Hold]:
    """The holds that go on as they are. Whose table or column was another already, or whose times are read in
    another zone from now on, has to be confirmed."""
    if not scalar(connection, sql.get("holds/are_bound")):
        return []
    clear = [hold for hold in holds.list_holds(connection) if hold.released_at is None and not hold.problem]
    converted = adoption.column if adoption.time_zone not in {None, "UTC"} else None
    return [
        hold
        for hold in clear
        if hold.table == str(adoption)
        and converted not in {condition.column for condition in hold.predicate.conditions}
    ]


def _apply_last(connection: Connection, statements: Statements) -> int:
    """Applies every recorded change; returns how many rows differ afterwards.

    All at once: between two parts of the changes a row that was changed twice may be in the new table as it
    was in between and as it is now, because each part inserts the row as it is now.
    """
    (end,) = row(connection, statements("changes_end"))
    places = [] if end is None else next_changes(connection, statements, end, MOST_CHANGES)
    return apply(connection, statements, places).differing

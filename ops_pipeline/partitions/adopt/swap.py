"""Swaps the tables: the new one takes the old one's name, in one short transaction."""

import sql
from ops_pipeline.counted import counted
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
"""How many changes may remain to be applied while other sessions wait."""
MOST_CHANGES = 2_000
"""If more changes than this arrive before the lock is acquired, the swap is given up."""
ROUNDS = 50


def swap(connection: Connection, adoption: Adoption, rows: int, sizes: CopySizes) -> Adoption:
    """Renames both tables, with their indexes and sequences, after applying and comparing the last changes.

    Other sessions wait for the table while that takes; the wait for its lock is limited (`postgres.locks`).
    Raises LockedError or AdoptionError; the old table is in place and complete then.
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
                f"{adoption}: changes arrive faster than they can be applied. The original table is still "
                "in use and complete; run the same command again when there are fewer writes"
            )
        differing = _apply_last(connection, statements)
        unset = waiting(connection, statements)
        if differing or unset:
            raise AdoptionError(
                f"{adoption}: the last changes of {counted(differing or unset, 'row')} cannot be copied, "
                f"because there is no partition for rows with {adoption.column} IS NULL. The original table "
                "is still in use and complete; UPDATE or DELETE such rows, then run the same command again"
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
        purpose=f"Replacing {adoption} with its new table",
    )


def _clear_holds(connection: Connection, adoption: Adoption) -> list[holds.Hold]:
    """The holds that apply to the new table unchanged. Holds that are unclear already, or whose times will be
    read in another zone, must be confirmed."""
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

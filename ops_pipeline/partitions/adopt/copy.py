"""Copies rows to the new table, applies recorded changes, compares both tables: in batches, during writes."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import psycopg
from psycopg.types.json import Jsonb

import sql
from ops_pipeline.counted import counted
from ops_pipeline.partitions.adopt.adoption import Adoption, AdoptionError, Statements, waiting
from ops_pipeline.postgres.connection import Connection, row
from ops_pipeline.throttle.batch_size import BatchSize, Sizes

TARGET_SECONDS = 0.2
COPIED_ROWS = Sizes(first=1_000, least=100, most=50_000)
TRIES = 5

Report = Callable[[str], None]
Stop = Callable[[], str | None]
"""Asked between batches: returns None to continue, or the reason to stop."""
Answer = TypeVar("Answer")
RETRIED = (
    psycopg.errors.ForeignKeyViolation,  # the row that is referred to was deleted in between
    psycopg.errors.DeadlockDetected,
    psycopg.errors.LockNotAvailable,
)


@dataclass(frozen=True, slots=True)
class CopySizes:
    """How many rows are copied and compared, and how many changes applied, at once."""

    copied: Sizes = COPIED_ROWS
    compared: int = 20_000
    changes: int = 2_000


DEFAULT_SIZES = CopySizes()


@dataclass(frozen=True, slots=True)
class Applied:
    """How many changes were applied, and how many of their rows differ; concurrent writes may cause that."""

    done: int
    differing: int


def copy(
    connection: Connection, adoption: Adoption, report: Report, sizes: CopySizes, stop: Stop
) -> Adoption:
    """Copies the rows from the adoption's position to the end. Raises AdoptionError, psycopg.Error."""
    statements = Statements(connection, adoption)
    batch_size = BatchSize(sizes.copied, TARGET_SECONDS)
    reported = time.monotonic()
    while True:
        _end_if_stopped(adoption, stop)
        began = time.monotonic()
        batch = partial(_batch, connection, statements, adoption, batch_size.size)
        rows, last = _retried(batch)
        if rows == 0:
            report(f"{adoption}: {counted(adoption.copied, 'row')} copied")
            return adoption
        adoption = adoption.copied_to(last, rows)
        batch_size.fit(time.monotonic() - began)
        if waiting(connection, statements) > sizes.changes:
            catch_up(connection, statements, sizes)
        if time.monotonic() - reported > 1:
            reported = time.monotonic()
            report(f"{adoption}: {counted(adoption.copied, 'row')} copied so far")


def catch_up(connection: Connection, statements: Statements, sizes: CopySizes) -> None:
    """Applies the changes recorded so far; changes of rows without a time stay recorded."""
    (end,) = row(connection, statements("changes_end"))
    while end is not None:
        places = next_changes(connection, statements, end, sizes.changes)
        if not places or _retried(partial(apply, connection, statements, places)).done == 0:
            return


def next_changes(connection: Connection, statements: Statements, end: int, most: int) -> list[int]:
    """The positions of the next changes to apply, at most that many and none after `end`."""
    (places,) = row(connection, statements("next_changes"), {"end": end, "size": most})
    return places or []


def apply(connection: Connection, statements: Statements, places: list[int]) -> Applied:
    """Applies those changes to the new table.

    A change is only a key; the row is copied as it is now. A later change to it is recorded again before it
    becomes visible.
    """
    with connection.transaction():
        values = {"places": places}
        connection.execute(statements("apply_delete"), values)
        connection.execute(statements("apply_insert"), values)
        (differing,) = row(connection, statements("differing"), values)
        done = connection.execute(statements("apply_done"), values).rowcount
    return Applied(done, differing)


def compare(connection: Connection, adoption: Adoption, report: Report, sizes: CopySizes, stop: Stop) -> int:
    """Compares every row of both tables, one range of keys per snapshot; returns how many rows.

    Raises AdoptionError with the range that differs, or when the time of rows was set to NULL meanwhile.
    """
    statements = Statements(connection, adoption)
    position, reported = None, time.monotonic()
    rows = 0
    while True:
        _end_if_stopped(adoption, stop)
        edge = connection.execute(
            statements("edge", after=statements.after(position)), {"size": sizes.compared}
        ).fetchone()
        until = None if edge is None else edge[0]
        condition = statements.between(position, until)
        old, new, same, unset = row(connection, statements("compare", range=condition))
        if unset:
            raise AdoptionError(_without_time(adoption, unset))
        if old != new or not same:
            raise AdoptionError(
                f"{adoption}: the copy differs from the table after key {position}, up to {until} "
                f"({counted(old, 'row')}, {new:,} in the copy). Rows were changed without firing the "
                "triggers. The original table is still in use and complete; undo the adoption with --abort, "
                "then start it again"
            )
        rows += int(old)
        if until is None:
            report(f"{adoption}: {counted(rows, 'row')} compared, all equal")
            return rows
        position = until
        if waiting(connection, statements) > sizes.changes:
            catch_up(connection, statements, sizes)
        if time.monotonic() - reported > 1:
            reported = time.monotonic()
            report(f"{adoption}: {counted(rows, 'row')} compared so far")


def _end_if_stopped(adoption: Adoption, stop: Stop) -> None:
    if (reason := stop()) is not None:
        raise AdoptionError(
            f"{adoption}: stopped. The original table is still in use and complete. To continue after the "
            f"pause, run the same command again. Maintenance is {reason}"
        )


def _batch(
    connection: Connection, statements: Statements, adoption: Adoption, size: int
) -> tuple[int, list[str]]:
    with connection.transaction():
        statement = statements("copy", after=statements.after(adoption.position))
        rows, last = row(connection, statement, {"size": size})
        if rows:
            values = {"id": adoption.id, "position": Jsonb(last), "rows": rows}
            connection.execute(sql.get("partitions/adopt/save_position"), values)
    return rows, last


def _retried(work: Callable[[], Answer]) -> Answer:
    for _ in range(TRIES - 1):
        try:
            return work()
        except RETRIED:
            time.sleep(0.2)
    return work()


def _without_time(adoption: Adoption, unset: int) -> str:
    return (
        f"{adoption}: {adoption.column} is NULL in {counted(unset, 'row')}, for which there is no partition. "
        "The original table is still in use and complete; UPDATE or DELETE these rows, then run the same "
        "command again"
    )

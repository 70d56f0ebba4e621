"""Rows copied, changes brought over, both sides compared: batch by batch, while others write."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import psycopg
from psycopg.types.json import Jsonb

import sql
from ops_pipeline.partitions.adopt.adoption import Adoption, AdoptionError, Statements, waiting
from ops_pipeline.postgres.connection import Connection, row
from ops_pipeline.throttle.batch_size import BatchSize, Sizes

TARGET_SECONDS = 0.2
COPIED_ROWS = Sizes(first=1_000, least=100, most=50_000)
TRIES = 5

Report = Callable[[str], None]
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
    """Changes that were brought over, and rows of theirs that differ, which others may change as we look."""

    done: int
    differing: int


def copy(connection: Connection, adoption: Adoption, report: Report, sizes: CopySizes) -> Adoption:
    """Copies the rows from where the adoption stands to the end. Raises AdoptionError, psycopg.Error."""
    statements = Statements(connection, adoption)
    batch_size = BatchSize(sizes.copied, TARGET_SECONDS)
    reported = time.monotonic()
    while True:
        began = time.monotonic()
        batch = partial(_batch, connection, statements, adoption, batch_size.size)
        rows, last = _retried(batch)
        if rows == 0:
            report(f"{adoption}: {adoption.copied:,} rows copied")
            return adoption
        adoption = adoption.copied_to(last, rows)
        batch_size.fit(time.monotonic() - began)
        if waiting(connection, statements) > sizes.changes:
            catch_up(connection, statements, sizes)
        if time.monotonic() - reported > 1:
            reported = time.monotonic()
            report(f"{adoption}: {adoption.copied:,} rows copied so far")


def catch_up(connection: Connection, statements: Statements, sizes: CopySizes) -> None:
    """Brings the changes over that are recorded by now; those to rows without a time stay recorded."""
    (end,) = row(connection, statements("changes_end"))
    while end is not None:
        places = next_changes(connection, statements, end, sizes.changes)
        if not places or _retried(partial(apply, connection, statements, places)).done == 0:
            return


def next_changes(connection: Connection, statements: Statements, end: int, most: int) -> list[int]:
    """The places of the next changes to bring over, at most that many and none after `end`."""
    (places,) = row(connection, statements("next_changes"), {"end": end, "size": most})
    return places or []


def apply(connection: Connection, statements: Statements, places: list[int]) -> Applied:
    """Brings those changes over.

    A change is read by its key alone, and the row as it is now: whoever changes it after that has recorded
    it again by the time it can be seen.
    """
    with connection.transaction():
        values = {"places": places}
        connection.execute(statements("apply_delete"), values)
        connection.execute(statements("apply_insert"), values)
        (differing,) = row(connection, statements("differing"), values)
        done = connection.execute(statements("apply_done"), values).rowcount
    return Applied(done, differing)


def compare(connection: Connection, adoption: Adoption, report: Report, sizes: CopySizes) -> int:
    """Compares every row on both sides, a range of keys at a time, each as of one moment; says how many.

    Raises AdoptionError with the range that differs, or when rows have lost their time meanwhile.
    """
    statements = Statements(connection, adoption)
    position, reported = None, time.monotonic()
    rows = 0
    while True:
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
                f"{adoption}: the copy differs from the table after key {position}, up to {until} ({old:,} "
                f"rows, {new:,} in the copy). Something changed rows past the triggers. The table is in "
                "place and whole; end this with --abort and begin again"
            )
        rows += int(old)
        if until is None:
            report(f"{adoption}: {rows:,} rows compared, all the same")
            return rows
        position = until
        if waiting(connection, statements) > sizes.changes:
            catch_up(connection, statements, sizes)
        if time.monotonic() - reported > 1:
            reported = time.monotonic()
            report(f"{adoption}: {rows:,} rows compared so far")


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
        f"{adoption}: {unset:,} rows have no {adoption.column} by now, and a partition is chosen by it. The "
        "table is in place and whole; give them one or remove them, then run the same command again"
    )

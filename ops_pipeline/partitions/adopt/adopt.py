"""Runs an adoption from start to swap, or resumes an interrupted one."""

from collections.abc import Callable
from dataclasses import dataclass

from ops_pipeline.partitions.adopt import copy, prepare
from ops_pipeline.partitions.adopt.adoption import (
    Adoption,
    AdoptionError,
    Statements,
    adoption_lock,
    open_adoption,
    relation,
)
from ops_pipeline.partitions.adopt.copy import DEFAULT_SIZES, CopySizes, Stop
from ops_pipeline.partitions.adopt.obstacles import AdoptionRefusedError, candidate
from ops_pipeline.partitions.adopt.swap import swap
from ops_pipeline.postgres.advisory_lock import advisory_lock, lock_holder
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.relation import Relation
from ops_pipeline.postgres.spelling import spelled


@dataclass(frozen=True, slots=True)
class Adopted:
    """A table that is partitioned now. `kept`: the name under which the old table was kept."""

    table: str
    column: str
    rows: int
    kept: str


def adopt_table(
    connection: Connection,
    table: Relation,
    *,
    column: str,
    time_zone: str | None = None,
    report: Callable[[str], None] = lambda _: None,
    sizes: CopySizes = DEFAULT_SIZES,
    stop: Stop = lambda: None,
) -> Adopted:
    """Converts the table to one partitioned by day of `column`; continues where an earlier call ended.

    The application can read and write the table meanwhile; only during the swap at the end it waits briefly
    (`postgres.locks`). The old table is kept, under another name, until `finish_adoption`. With `time_zone`,
    a `timestamp` column becomes `timestamptz`, its times read in that zone. `stop` is asked between batches;
    with the reason that it returns the call ends as AdoptionError.

    Raises AdoptionRefusedError before anything is changed; AdoptionError or LockedError later, with the old
    table in place and complete; psycopg.Error.
    """
    lock = adoption_lock(table.table_name)
    with advisory_lock(connection, lock) as taken:
        if not taken:
            raise AdoptionError(
                f"another session is adopting {table}: {lock_holder(connection, lock)}. Nothing was changed"
            )
        current = open_adoption(connection, table.table_name)
        if current is None:
            current = prepare.begin(connection, candidate(connection, table, column, time_zone))
            report(f"{current}: created the new table; preparing its partitions")
        else:
            _refuse_other(current, column)
            report(f"{current}: continuing the adoption that was started before ({current.state})")
        return _from(connection, current, report, sizes, stop)


def _from(
    connection: Connection, current: Adoption, report: Callable[[str], None], sizes: CopySizes, stop: Stop
) -> Adopted:
    if current.state == "preparing":
        current = prepare.complete(connection, current)
        report(f"{current}: changes are now recorded; copying rows")
    rows = current.copied
    if current.state == "copying":
        current = copy.copy(connection, current, report, sizes, stop)
        copy.catch_up(connection, Statements(connection, current), sizes)
        rows = copy.compare(connection, current, report, sizes, stop)
        current = swap(connection, current, rows, sizes)
        report(f"{current}: the new table is in place")
    kept = spelled(relation(connection, current.old).identifier, connection)
    return Adopted(str(current), current.column, rows, kept)


def _refuse_other(current: Adoption, column: str) -> None:
    if current.column != column:
        raise AdoptionRefusedError(
            str(current),
            [
                f"its adoption by {current.column} was started before; use that column, or undo the adoption "
                "with --abort"
            ],
        )

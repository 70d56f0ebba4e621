"""Whole partitions removed: detached, archived where asked, made sure of once more, dropped."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import psycopg

import sql
from ops_pipeline.partitions.detach import ChangedError, attach_again, detach
from ops_pipeline.partitions.partition import Partition, state
from ops_pipeline.postgres.connection import Connection, row
from ops_pipeline.postgres.locks import LockedError, TableLock, with_short_lock
from ops_pipeline.postgres.relation import Relation

ArchivePartition = Callable[[Partition], None]
Keeps = Callable[[Partition], str | None]
InDrop = Callable[[Connection], None]


@dataclass(frozen=True, slots=True)
class DroppedPartition:
    """A partition that is gone. `rows` is what the statistics knew of it, `bytes` its indexes included."""

    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class KeptPartition:
    """A partition that is still there, with all of its rows, and why."""

    reason: str


IN_THE_WAY = (
    LockedError,
    psycopg.errors.LockNotAvailable,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.DependentObjectsStillExist,
)


class _KeptError(Exception):
    pass


def remove(
    connection: Connection,
    relation: Relation,
    partition: Partition,
    *,
    archive: ArchivePartition | None = None,
    in_drop: InDrop = lambda _: None,
    keeps: Keeps = lambda _: None,
) -> DroppedPartition | KeptPartition:
    """Removes the partition with all of its rows, in a time that does not depend on how many they are.

    `archive` is called while nobody can change the detached partition, though anybody may read it, also on
    another connection. `in_drop` runs in the dropping transaction, just before the drop. `keeps` is asked
    before the partition is touched, and again in the dropping transaction before `in_drop`: a partition of
    which it says why rows are kept goes back into its table. When `archive` or `in_drop` raises, it goes back
    as well and the exception passes on. A crash leaves it detached at worst, for `leftovers` of the next run.

    Answers Kept where others are in the way, rows elsewhere still refer to it, something depends on it, or
    it is another table by now.
    """
    if (why := keeps(partition)) is not None:
        return KeptPartition(why)
    if (kept := take_out(connection, relation, partition)) is not None:
        return kept
    try:
        return _drop(connection, relation, partition, archive, in_drop, keeps)
    except _KeptError as error:
        attach_again(connection, relation, partition)
        return KeptPartition(f"{error}; it is in its table again")
    except IN_THE_WAY as error:
        attach_again(connection, relation, partition)
        return KeptPartition(f"{_primary(error)}; {partition} is in its table again")
    except psycopg.errors.ObjectNotInPrerequisiteState as error:
        return KeptPartition(_primary(error))
    except Exception as error:
        _put_back(connection, relation, partition, error)
        raise


def take_out(connection: Connection, relation: Relation, partition: Partition) -> KeptPartition | None:
    """Detaches the partition, having noted that it is to be dropped; None once it is a table of its own.

    Answers Kept as `remove` does, the partition being in its table then.
    """
    where = state(connection, partition)
    if where == "detached":
        return None
    if where != "attached":
        return KeptPartition(f"{partition} is {where}")
    dependent = connection.execute(sql.get("partitions/depends"), {"oid": partition.oid}).fetchone()
    if dependent is not None:
        return KeptPartition(f"{dependent[0]} depends on {partition}; drop that first")
    connection.execute(sql.get("partitions/remember"), partition.identity)
    try:
        detach(connection, relation, partition)
    except (LockedError, ChangedError, psycopg.errors.ObjectNotInPrerequisiteState) as error:
        return KeptPartition(_primary(error))
    except psycopg.errors.ForeignKeyViolation as error:
        detail = error.diag.message_detail or ""
        return KeptPartition(
            f"rows elsewhere still refer to rows of {partition}: {_primary(error)}. {detail}".strip()
        )
    finally:
        if not connection.broken and state(connection, partition) == "attached":
            connection.execute(sql.get("partitions/forget"), {"oid": partition.oid})
    return None


def leftovers(connection: Connection, relation: Relation, cutoff: datetime) -> list[Partition]:
    """What earlier runs detached and did not come to drop, for `remove` to finish.

    A partition that is not wholly older than `cutoff` any more goes back into its table. Comes after
    `finalize_detaches`. Raises LockedError, or psycopg.Error where it cannot go back.
    """
    finished: list[Partition] = []
    remembered = connection.execute(sql.get("partitions/remembered"), {"table": relation.oid}).fetchall()
    for partition in (Partition(*values) for values in remembered):
        where = state(connection, partition)
        if where in {"gone", "attached"}:
            connection.execute(sql.get("partitions/forget"), {"oid": partition.oid})
        elif where == "detached" and partition.upper is not None and partition.upper <= cutoff:
            finished.append(partition)
        elif where == "detached":
            attach_again(connection, relation, partition)
    return finished


def _drop(
    connection: Connection,
    relation: Relation,
    partition: Partition,
    archive: ArchivePartition | None,
    in_drop: InDrop,
    keeps: Keeps,
) -> DroppedPartition:
    with connection.transaction():
        connection.execute(sql.get("partitions/take_time"))
        connection.execute(sql.get("partitions/lock_detached"), partition.identity)
        if archive is not None:
            archive(partition)
        if (why := keeps(partition)) is not None:
            raise _KeptError(why)
        rows, size = row(connection, sql.get("partitions/size"), {"oid": partition.oid})
        in_drop(connection)
        with_short_lock(
            connection,
            TableLock(partition.oid, "AccessExclusiveLock"),
            lambda: connection.execute(sql.get("partitions/drop_detached"), partition.identity),
            purpose=f"Dropping {partition}, detached from {relation}",
        )
    return DroppedPartition(rows, size)


def _put_back(connection: Connection, relation: Relation, partition: Partition, error: Exception) -> None:
    if connection.closed or connection.broken:
        return
    try:
        attach_again(connection, relation, partition)
    except (LockedError, psycopg.Error) as also:
        error.add_note(f"{partition} is still detached, with all of its rows, for the next run: {also}")


def _primary(error: Exception) -> str:
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        return error.diag.message_primary
    return str(error)

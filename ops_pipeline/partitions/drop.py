"""Drops whole partitions: detaches, archives if the policy says so, checks again, and drops."""

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
    """A partition that was dropped. `rows`: by the statistics; `bytes`: with its indexes."""

    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class KeptPartition:
    """A partition that was not dropped and has all of its rows, and why."""

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
    """Drops the partition with all of its rows, in a time that does not depend on their number.

    `archive` is called while other sessions can read but not change the detached partition, also on another
    connection. `in_drop` runs in the dropping transaction, just before the drop. `keeps` is called before
    anything is done, and again in the dropping transaction before `in_drop`: if it returns a reason, the
    partition is attached again. If `archive` or `in_drop` raises, it is attached again as well and the
    exception is raised. A crash leaves it detached at worst, for `leftovers` of the next run.

    Returns KeptPartition where other sessions have locked it, rows of other tables still refer to it, another
    object depends on it, or it is another table now.
    """
    if (why := keeps(partition)) is not None:
        return KeptPartition(why)
    if (kept := take_out(connection, relation, partition)) is not None:
        return kept
    try:
        return _drop(connection, relation, partition, archive, in_drop, keeps)
    except _KeptError as error:
        attach_again(connection, relation, partition)
        return KeptPartition(f"{error}; it was attached again")
    except IN_THE_WAY as error:
        attach_again(connection, relation, partition)
        return KeptPartition(f"{_primary(error)}; {partition} was attached again")
    except psycopg.errors.ObjectNotInPrerequisiteState as error:
        return KeptPartition(_primary(error))
    except Exception as error:
        _put_back(connection, relation, partition, error)
        raise


def take_out(connection: Connection, relation: Relation, partition: Partition) -> KeptPartition | None:
    """Detaches the partition, after recording that it is to be dropped. None: it is detached.

    Returns KeptPartition as `remove` does; the partition is attached then.
    """
    where = state(connection, partition)
    if where == "detached":
        return None
    if where != "attached":
        return KeptPartition(f"{partition} {'no longer exists' if where == 'gone' else f'is {where}'}")
    dependent = connection.execute(sql.get("partitions/depends"), {"oid": partition.oid}).fetchone()
    if dependent is not None:
        return KeptPartition(
            f"{dependent[0]} depends on {partition}; to let it be dropped whole, drop that object"
        )
    connection.execute(sql.get("partitions/remember"), partition.identity)
    try:
        detach(connection, relation, partition)
    except (LockedError, ChangedError, psycopg.errors.ObjectNotInPrerequisiteState) as error:
        return KeptPartition(_primary(error))
    except psycopg.errors.ForeignKeyViolation as error:
        detail = error.diag.message_detail or ""
        return KeptPartition(
            f"rows of other tables still refer to rows of {partition}: {_primary(error)}. {detail}".strip()
        )
    finally:
        if not connection.broken and state(connection, partition) == "attached":
            connection.execute(sql.get("partitions/forget"), {"oid": partition.oid})
    return None


def leftovers(connection: Connection, relation: Relation, cutoff: datetime) -> list[Partition]:
    """Partitions that earlier runs detached but did not drop, for `remove` to finish.

    A partition that is no longer completely older than `cutoff` is attached again. Call it after
    `finalize_detaches`. Raises LockedError, or psycopg.Error where it cannot be attached.
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
        error.add_note(
            f"{partition} is still detached, with all of its rows; the next run handles it: {also}"
        )


def _primary(error: Exception) -> str:
    if isinstance(error, LockedError):
        return error.reason
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        return error.diag.message_primary
    return str(error)

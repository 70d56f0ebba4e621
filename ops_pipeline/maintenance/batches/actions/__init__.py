"""A window's rows removed: in one transaction with the run's progress and the place reached."""

from dataclasses import dataclass
from typing import Protocol

from psycopg import sql as compose
from psycopg.types.json import Jsonb

import sql
from ops_pipeline.holds import holds
from ops_pipeline.maintenance import references
from ops_pipeline.maintenance.batches.scans import Position, ScanRange, and_
from ops_pipeline.maintenance.history import Batch, Note, Record
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.relation import Relation


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """On which terms a window is removed. Times are in seconds.

    `skip_locked`: passes over rows that somebody has locked. `walk`: the name of the walk whose place is
    kept; None keeps none, as for a window that is visited a second time.
    """

    lock_timeout: float
    statement_timeout: float
    skip_locked: bool = False
    walk: str | None = None


class Action(Protocol):
    """Removes windows. The caller may try again after any psycopg.Error: nothing was done then."""

    def remove(self, window: ScanRange, terms: BatchLimits) -> int:
        """Removes the window's rows that may go, commits, and says how many they were."""


def limits(terms: BatchLimits, *, synchronous_commit: bool) -> Note:
    """The statement every removing transaction begins with; where the WAL stands is its last column."""
    values = {
        "lock_timeout": f"{terms.lock_timeout * 1000:.0f}ms",
        "statement_timeout": f"{terms.statement_timeout * 1000:.0f}ms",
        "synchronous_commit": "on" if synchronous_commit else "off",
    }
    return sql.get("maintenance/batches/actions/limit"), values


def deletable(connection: Connection, table: Relation, window: ScanRange) -> compose.Composable:
    """The window's condition, without rows that are on hold at this moment or that others refer to.

    `table` is the one the policy names, whose partition the window's heap may be. To be asked in the
    removing transaction, after `limits`: until its end no hold can be added. Raises HoldUnclearError.
    """
    return and_(
        window.condition,
        holds.exclusion(holds.active(connection, table)),
        references.unreferenced(connection, table),
    )


def records(record: Record, batch: Batch, window: ScanRange, terms: BatchLimits) -> list[Note]:
    """What the removing transaction writes down: the batch, and the place reached."""
    written = [record.note(batch)]
    if terms.walk is not None:
        written.append(_saving(record.policy, terms.walk, window.position))
    return written


def _saving(policy: str, walk: str, position: Position) -> Note:
    values = {"policy": policy, "walk": walk, "position": Jsonb(position)}
    return sql.get("maintenance/batches/actions/save_position"), values

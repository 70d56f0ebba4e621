"""Actions: what a batch does to the rows of its range, in one transaction with progress and position."""

from dataclasses import dataclass
from typing import Protocol

from psycopg import sql as compose
from psycopg.types.json import Jsonb

import sql
from ops_pipeline.holds import holds
from ops_pipeline.maintenance import circled_holds, references
from ops_pipeline.maintenance.batches.scans import ScanRange, and_
from ops_pipeline.maintenance.circled_holds import KnownHolds
from ops_pipeline.maintenance.history import Batch, Record, Statement
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.relation import Relation


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """The limits of one batch. Times are in seconds.

    `skip_locked`: skips rows that another session has locked. `scan`: the name of the scan whose position
    is saved; None saves none, as for a range that is visited a second time.
    """

    lock_timeout: float
    statement_timeout: float
    skip_locked: bool = False
    scan: str | None = None


class Action(Protocol):
    """Removes ranges of rows. After any psycopg.Error nothing was done and the caller may try again."""

    def remove(self, scan_range: ScanRange, limits: BatchLimits) -> int:
        """Removes the deletable rows of the range, commits, and returns how many they were."""


def limit_statement(limits: BatchLimits, *, synchronous_commit: bool) -> Statement:
    """The statement that begins every deleting transaction; its last column is the current WAL position."""
    values = {
        "lock_timeout": f"{limits.lock_timeout * 1000:.0f}ms",
        "statement_timeout": f"{limits.statement_timeout * 1000:.0f}ms",
        "synchronous_commit": "on" if synchronous_commit else "off",
    }
    return sql.get("maintenance/batches/actions/limit"), values


def deletable(
    connection: Connection, table: Relation, scan_range: ScanRange, planned: KnownHolds
) -> compose.Composable:
    """The range's condition, without rows that are on hold now or that other rows refer to.

    `table` is the one the policy names; the range's heap may be one of its partitions. Call it in the
    deleting transaction, after `limit_statement`: no hold can be added until that transaction ends.
    `planned`: the holds that the plan knew. Raises HoldUnclearError and HoldAddedError.
    """
    circled_holds.refuse_new(connection, table, planned)
    return and_(
        scan_range.condition,
        holds.exclusion(holds.active(connection, table)),
        references.unreferenced(connection, table),
    )


def progress_statements(
    record: Record, batch: Batch, scan_range: ScanRange, limits: BatchLimits
) -> list[Statement]:
    """The statements by which the deleting transaction records the batch and the position reached."""
    statements = [record.batch_statement(batch)]
    if limits.scan is not None:
        values = {"policy": record.policy, "scan": limits.scan, "position": Jsonb(scan_range.position)}
        statements.append((sql.get("maintenance/batches/actions/save_position"), values))
    return statements

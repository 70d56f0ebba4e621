"""Deletes receipts of events and Idempotency-Keys that are too old for a retry."""

import time

import structlog

import sql
from api.audit.store import DOWN
from api.db.pinned_connection import PinnedConnection

EVERY_SECONDS = 3600.0
BATCH_ROWS = 10_000
BETWEEN_BATCHES_SECONDS = 1.0

log = structlog.get_logger()


class ReceiptPurge:
    """Deletes a batch every hour; while more remain, another batch after a second."""

    def __init__(self) -> None:
        self._next_at = 0.0

    async def run_if_due(self, database: PinnedConnection) -> None:
        """Deletes a batch when it is due; a failure is logged and retried an hour later."""
        if time.monotonic() < self._next_at:
            return
        self._next_at = time.monotonic() + EVERY_SECONDS
        try:
            statement = sql.get("api/audit/purge_receipts")
            ((purged,),) = await database.rows("delete", statement, {"limit": BATCH_ROWS})
        except DOWN as error:
            log.warning("receipts not purged", error=type(error).__name__)
            return
        if purged == BATCH_ROWS:
            self._next_at = time.monotonic() + BETWEEN_BATCHES_SECONDS

"""Waits for the lock of another session that keeps a policy from reading its table."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg

import sql
from ops_pipeline.maintenance.batches.batch import PolicyRun
from ops_pipeline.maintenance.result import Work
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.locks import Blocker

PAUSES_SECONDS = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""A minute in all: most migrations have released their locks by then."""
LOOK_EVERY_SECONDS = 1.0


class TableLockedError(Exception):
    """A session's lock lasted too long; the message names the session. Committed batches are kept."""


def work_between_locks(run: PolicyRun, work: Callable[[], Work]) -> Work:
    """Does the work, again after each pause while a session has a lock that prevents reading a table.

    Between two tries the run counts as throttled, and can be stopped. Raises TableLockedError when the last
    try failed as well.
    """
    for seconds in PAUSES_SECONDS:
        try:
            with locks_named(run.connection):
                return work()
        except TableLockedError as error:
            run.report(f"{run.record.policy}: {error}; it tries again in {seconds:.0f} s")
            run.record.save_throttled(run.connection, str(error), seconds=0)
            reason = _stopped_within(seconds, run)
            run.record.save_throttle_ended(run.connection, run.throttle.as_json())
            if reason is not None:
                return Work(reason, None)
    with locks_named(run.connection):
        return work()


@contextmanager
def locks_named(connection: Connection) -> Iterator[None]:
    """Turns PostgreSQL's "canceling statement due to lock timeout" into a TableLockedError."""
    try:
        yield
    except psycopg.errors.LockNotAvailable as error:
        locked = connection.execute(sql.get("postgres/exclusive_locks")).fetchone()
        who = "another session had it for a moment" if locked is None else Blocker(*locked)
        raise TableLockedError(f"waited for a lock: {who}") from error


def _stopped_within(seconds: float, run: PolicyRun) -> str | None:
    until = time.monotonic() + seconds
    while (reason := run.stopped()) is None and (left := until - time.monotonic()) > 0:
        time.sleep(min(left, LOOK_EVERY_SECONDS))
    return reason

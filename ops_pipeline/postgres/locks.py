"""Takes strong locks on tables that an application is using, with short waits and retries."""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import psycopg

import sql
from ops_pipeline.counted import duration
from ops_pipeline.postgres.connection import Connection

TRIES = 8
LOCK_TIMEOUT = "200ms"
"""Other sessions queue behind our lock request, so it must be short."""
LONG_SECONDS = 1.0
"""A transaction this old is unlikely to end within LOCK_TIMEOUT: a try would only make other sessions
wait."""
FIRST_WAIT_SECONDS = 0.1

Mode = Literal["AccessExclusiveLock", "ShareRowExclusiveLock", "ShareUpdateExclusiveLock", "AccessShareLock"]
T = TypeVar("T")


class LockedError(Exception):
    """Other sessions held the table during every try; nothing was changed. `reason` names one."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason}. Nothing was changed")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class TableLock:
    """The locks of a change: `mode` on `table`, and AccessExclusiveLock on `partitions` (all are oids)."""

    table: int
    mode: Mode
    partitions: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Blocker:
    """A session, or a prepared transaction, that holds a conflicting lock."""

    pid: int | None
    user: str | None
    application: str | None
    seconds: float | None
    relation: str
    mode: str
    query: str | None
    prepared: str | None

    def __str__(self) -> str:
        who = (
            f"the prepared transaction {self.prepared!r}"
            if self.pid is None
            else f"pid {self.pid} ({self.application or 'no application name'})"
        )
        age = "" if self.seconds is None else f" for {duration(self.seconds)}"
        query = f", last statement: {' '.join(self.query.split())}" if self.query else ""
        return f"{who} of user {self.user} holds {self.mode} on {self.relation}{age}{query}"


def blockers(connection: Connection, needed: TableLock) -> list[Blocker]:
    """The holders of conflicting locks, oldest transaction first. Reading other users' statements requires a
    privilege (pg_read_all_stats)."""
    values = {"table": needed.table, "mode": needed.mode, "partitions": list(needed.partitions)}
    return [Blocker(*row) for row in connection.execute(sql.get("postgres/blockers"), values)]


def with_short_lock(connection: Connection, needed: TableLock, work: Callable[[], T], *, purpose: str) -> T:
    """Runs `work` in a transaction that waits for each lock at most LOCK_TIMEOUT; returns its result.

    While a transaction older than LONG_SECONDS holds a conflicting lock, it does not queue at all. It waits
    between tries, each time about twice as long. Raises LockedError when TRIES tries have failed.
    """

    def attempt() -> T:
        with connection.transaction():
            connection.execute(sql.get("postgres/lock_timeout"), {"lock_timeout": LOCK_TIMEOUT})
            return work()

    return between_blockers(connection, needed, attempt, purpose=purpose)


def between_blockers(
    connection: Connection,
    needed: TableLock,
    attempt: Callable[[], T],
    *,
    purpose: str,
    long_seconds: float | None = None,
) -> T:
    """Like `with_short_lock`, for work that cannot run in a transaction: `attempt` limits its own waits.

    `long_seconds` replaces LONG_SECONDS.
    """
    longest = LONG_SECONDS if long_seconds is None else long_seconds
    in_the_way: Sequence[Blocker] = ()
    for number in range(TRIES):
        if number:
            # Random, because two sessions with equal waits would collide again.
            time.sleep(FIRST_WAIT_SECONDS * 2**number * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
        in_the_way = blockers(connection, needed)
        if any(blocker.seconds is None or blocker.seconds > longest for blocker in in_the_way):
            continue
        try:
            return attempt()
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            in_the_way = blockers(connection, needed) or in_the_way
    who = str(in_the_way[0]) if in_the_way else "several other sessions held it, each for a short time"
    raise LockedError(f"{purpose}: could not obtain the lock in {TRIES} tries; {who}")

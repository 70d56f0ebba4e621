"""Strong locks on tables that others use: taken for moments, waited for hardly at all."""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, TypeVar

import psycopg

import sql
from ops_pipeline.postgres.connection import Connection

TRIES = 8
LOCK_TIMEOUT = "200ms"
"""Whoever needs the table queues behind our wait, so it is short."""
LONG_SECONDS = 1.0
"""A transaction this old will not end within LOCK_TIMEOUT: trying would only make others wait."""
FIRST_PAUSE_SECONDS = 0.1

Mode = Literal["AccessExclusiveLock", "ShareRowExclusiveLock", "ShareUpdateExclusiveLock", "AccessShareLock"]
T = TypeVar("T")


class LockedError(Exception):
    """Others held the table through every try; nothing was changed. The message says who."""


@dataclass(frozen=True, slots=True)
class TableLock:
    """The locks a change takes: `mode` on the table `table`, all others kept from `partitions`."""

    table: int
    mode: Mode
    partitions: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Blocker:
    """A session, or a prepared transaction, with a lock that is in the way."""

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
        age = "" if self.seconds is None else f" for {timedelta(seconds=round(self.seconds))}"
        query = f", last statement: {' '.join(self.query.split())}" if self.query else ""
        return f"{who} of user {self.user} holds {self.mode} on {self.relation}{age}{query}"


def blockers(connection: Connection, needed: TableLock) -> list[Blocker]:
    """Who is in the way, the oldest transaction first. Other users' statements show to who may see them."""
    values = {"table": needed.table, "mode": needed.mode, "partitions": list(needed.partitions)}
    return [Blocker(*row) for row in connection.execute(sql.get("postgres/blockers"), values)]


def with_short_lock(connection: Connection, needed: TableLock, work: Callable[[], T], *, purpose: str) -> T:
    """Does `work` in a transaction that waits for locks at most LOCK_TIMEOUT each; answers with its result.

    Where a transaction that is older than LONG_SECONDS is in the way it does not queue at all. Between
    tries it pauses, each time about twice as long. Raises LockedError once TRIES have failed.
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
    """`patiently`, for what cannot be in a transaction: `attempt` limits its own waits.

    `long_seconds` stands in for LONG_SECONDS.
    """
    longest = LONG_SECONDS if long_seconds is None else long_seconds
    in_the_way: Sequence[Blocker] = ()
    for number in range(TRIES):
        if number:
            # Two that pause equally long would meet again.
            time.sleep(FIRST_PAUSE_SECONDS * 2**number * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
        in_the_way = blockers(connection, needed)
        if any(blocker.seconds is None or blocker.seconds > longest for blocker in in_the_way):
            continue
        try:
            return attempt()
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            in_the_way = blockers(connection, needed) or in_the_way
    who = str(in_the_way[0]) if in_the_way else "others kept taking it, each for a moment"
    raise LockedError(f"{purpose}: the lock could not be had in {TRIES} tries; {who}. Nothing was changed")

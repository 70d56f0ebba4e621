"""Locks by name: one run of a policy at a time, and a sign of life."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sql
from ops_pipeline.postgres.connection import Connection, scalar


@contextmanager
def advisory_lock(connection: Connection, name: str, *, wait: bool = False) -> Iterator[bool]:
    """Yields whether this session now holds the lock of that name.

    Without `wait` it answers at once; with it, it waits up to the session's lock_timeout and then
    raises psycopg.errors.LockNotAvailable.

    The server frees it when the session ends, however it ends, so a held lock is proof of life.
    """
    if wait:
        connection.execute(sql.get("postgres/wait_lock"), {"name": name})
    taken = wait or bool(scalar(connection, sql.get("postgres/try_lock"), {"name": name}))
    try:
        yield taken
    finally:
        if taken and not connection.closed and not connection.broken:
            connection.execute(sql.get("postgres/unlock"), {"name": name})


def share_lock(connection: Connection, name: str) -> None:
    """Holds the lock of that name, shared, until the session ends: a sign of life for `lock_is_held`."""
    connection.execute(sql.get("postgres/share_lock"), {"name": name})


def lock_is_held(connection: Connection, name: str) -> bool:
    """Whether any session of this database holds the lock of that name."""
    return bool(scalar(connection, sql.get("postgres/lock_is_held"), {"name": name}))


def lock_holder(connection: Connection, name: str) -> str:
    """Who holds that lock, in words for a message."""
    return in_words(connection.execute(sql.get("postgres/lock_holder"), {"name": name}).fetchone())


def in_words(holder: tuple[Any, ...] | None) -> str:
    """A session, known by pid, application_name and since when it is connected; None: it has just ended."""
    if holder is None:
        return "a session that has just ended"
    pid, application_name, since = holder
    return f"{application_name or 'a session'} (pid {pid}, connected since {since:%Y-%m-%d %H:%M:%S} UTC)"

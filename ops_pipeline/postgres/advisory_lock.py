"""Named advisory locks: they allow one run of a policy at a time, and show that a run is alive."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sql
from ops_pipeline.postgres.connection import Connection, scalar


@contextmanager
def advisory_lock(connection: Connection, name: str, *, wait: bool = False) -> Iterator[bool]:
    """Yields whether this session now holds the lock of that name.

    Without `wait` it returns at once; with it, it waits up to the session's lock_timeout and then raises
    psycopg.errors.LockNotAvailable. The server releases the lock when the session ends, for any reason, so a
    held lock shows that its holder is alive.
    """
    if wait:
        connection.execute(sql.get("postgres/wait_lock"), {"name": name})
    taken = wait or bool(scalar(connection, sql.get("postgres/try_lock"), {"name": name}))
    try:
        yield taken
    finally:
        if taken and not connection.closed and not connection.broken:
            connection.execute(sql.get("postgres/unlock"), {"name": name})


def run_lock(run_id: str) -> str:
    """The name of the lock that every step of that Dagster run holds, shared, in its database."""
    return f"ops: dagster run {run_id}"


def share_lock(connection: Connection, name: str) -> None:
    """Holds the lock of that name, shared, until the session ends; `lock_is_held` sees it."""
    connection.execute(sql.get("postgres/share_lock"), {"name": name})


def lock_is_held(connection: Connection, name: str) -> bool:
    """Whether any session of this database holds the lock of that name."""
    return bool(scalar(connection, sql.get("postgres/lock_is_held"), {"name": name}))


def lock_holder(connection: Connection, name: str) -> str:
    """The session that holds that lock, as text for a message."""
    return in_words(connection.execute(sql.get("postgres/lock_holder"), {"name": name}).fetchone())


def in_words(holder: tuple[Any, ...] | None) -> str:
    """A session as text: pid, application_name, time of connection. None: the session has just ended."""
    if holder is None:
        return "a session that has just ended"
    pid, application_name, since = holder
    return f"{application_name or 'a session'} (pid {pid}, connected since {since:%Y-%m-%d %H:%M:%S} UTC)"

"""Detects a connection pooler in transaction or statement mode."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import psycopg

import sql

Client = psycopg.Connection[tuple[Any, ...]]

ROUNDS = 5
WAIT_SECONDS = 10.0
"""A pooler without a free second session makes its client wait, often for two minutes."""


def lends_by_transaction(open_client: Callable[[], Client]) -> bool:
    """Whether two clients share one server session, or one client gets two.

    Both query their backend pid twice, in turn, which changes nothing. On an idle pool the first round
    decides: if the pooler reuses the most recent session first, both clients get the same one; if it rotates,
    one client gets two, unless there is only one session. On a busy pool, sessions change sooner. Raises
    psycopg.Error, also when a client gets no session within 10 seconds.
    """
    with open_client() as one, open_client() as other, _at_most(WAIT_SECONDS, one, other):
        ones, others = set[int](), set[int]()
        for _ in range(ROUNDS):
            ones |= {_session(one), _session(one)}
            others |= {_session(other), _session(other)}
            if len(ones) > 1 or len(others) > 1 or ones & others:
                return True
            # A pooler sends cancel keys of its own, whose pid is not the server's.
            if ones == {one.info.backend_pid} and others == {other.info.backend_pid}:
                return False
        return False


def _session(client: Client) -> int:
    # Never prepared: a prepared statement would remain in a session that another client gets.
    row = client.execute(sql.get("postgres/backend_pid"), prepare=False).fetchone()
    return int(row[0]) if row else 0


@contextmanager
def _at_most(seconds: float, *clients: Client) -> Iterator[None]:
    with ExitStack() as stack:
        # Duplicates, because a client that has failed is closed, and its descriptor may be another file then.
        # The last client is the one that waits. Shut first, it does not get the session that another leaves.
        sockets = [
            stack.enter_context(socket.socket(fileno=os.dup(client.fileno()))) for client in reversed(clients)
        ]
        timer = threading.Timer(seconds, shut, sockets)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()


def shut(*sockets: socket.socket) -> None:
    """Shuts these sockets down, so that waits on them end."""
    for each in sockets:
        with suppress(OSError):  # the other side has closed it
            each.shutdown(socket.SHUT_RDWR)


def shut_sockets(*descriptors: int) -> None:
    """Shuts these sockets down, so that waits on them end. They belong to libpq, which still closes them."""
    for descriptor in descriptors:
        with socket.socket(fileno=os.dup(descriptor)) as duplicate, suppress(OSError):
            duplicate.shutdown(socket.SHUT_RDWR)

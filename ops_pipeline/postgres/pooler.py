"""Recognises a pooler that lends a session of the server for one transaction at a time."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg

import sql

Client = psycopg.Connection[tuple[Any, ...]]

ROUNDS = 5
WAIT_SECONDS = 10.0
"""A pool that has no second session to lend makes its client wait, often for two minutes."""


def lends_by_transaction(open_client: Callable[[], Client]) -> bool:
    """Whether two clients find themselves in one session of the server, or one client in two.

    Both ask twice in turn which session they are in; that sets nothing. On an idle pool the first round
    decides: where the session that came back last is lent first, both clients get the same one; where
    sessions take turns, one client gets two, unless there is but one for both. The more others use the pool,
    the sooner a client's session changes. Raises psycopg.Error, also when a client gets no session within 10
    seconds.
    """
    with open_client() as one, open_client() as other, _at_most(WAIT_SECONDS, one, other):
        ones, others = set[int](), set[int]()
        for _ in range(ROUNDS):
            ones |= {_session(one), _session(one)}
            others |= {_session(other), _session(other)}
            if len(ones) > 1 or len(others) > 1 or ones & others:
                return True
            # A pooler hands out keys of its own for cancelling, and their pid is not the server's.
            if ones == {one.info.backend_pid} and others == {other.info.backend_pid}:
                return False
        return False


def _session(client: Client) -> int:
    # Never prepared: through such a pooler that would be left behind in somebody else's session.
    row = client.execute(sql.get("postgres/backend_pid"), prepare=False).fetchone()
    return int(row[0]) if row else 0


@contextmanager
def _at_most(seconds: float, *clients: Client) -> Iterator[None]:
    timer = threading.Timer(seconds, shut_sockets, [client.fileno() for client in clients])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def shut_sockets(*descriptors: int) -> None:
    """Ends what waits for these connections. Their sockets belong to libpq, which still closes them."""
    for descriptor in descriptors:
        with socket.socket(fileno=os.dup(descriptor)) as duplicate, suppress(OSError):
            duplicate.shutdown(socket.SHUT_RDWR)

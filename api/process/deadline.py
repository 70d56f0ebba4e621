"""A time limit for a statement that holds even when the server or the network is frozen."""

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg


@contextmanager
def deadline(connection: psycopg.AsyncConnection[Any], seconds: float) -> Iterator[None]:
    """Shuts the connection's socket when the block takes longer; psycopg then raises OperationalError.

    The server's own statement_timeout is no help when the server is frozen or the network swallows every
    packet, and cancelling the task is none either: psycopg would first ask the server, over a new
    connection, to cancel the statement, and wait for that.
    """
    timer = asyncio.get_running_loop().call_later(seconds, _shut, connection.fileno())
    try:
        yield
    finally:
        timer.cancel()


def _shut(descriptor: int) -> None:
    # The socket belongs to libpq: a duplicate of the descriptor reaches it without closing it.
    with socket.socket(fileno=os.dup(descriptor)) as duplicate, suppress(OSError):
        duplicate.shutdown(socket.SHUT_RDWR)

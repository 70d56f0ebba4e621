"""A time limit for a statement that works even when the server or the network is frozen."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from ops_pipeline.postgres.pooler import shut_sockets


@contextmanager
def deadline(connection: psycopg.AsyncConnection[Any], seconds: float) -> Iterator[None]:
    """Shuts down the connection's socket when the block takes longer; psycopg then raises OperationalError.

    The server's statement_timeout does not work when the server is frozen or the network drops every packet.
    Neither does canceling the task: psycopg would first ask the server, over a new connection, to cancel the
    statement, and wait for the answer.
    """
    timer = asyncio.get_running_loop().call_later(seconds, shut_sockets, connection.fileno())
    try:
        yield
    finally:
        timer.cancel()

"""A time limit for a statement that works even when the server or the network is frozen."""

import asyncio
from typing import Any

import psycopg

from ops_pipeline.postgres.pooler import shut_sockets


class deadline:  # noqa: N801 - a context manager, as those of contextlib
    """Shuts down the connection's socket when the block takes longer; psycopg then raises OperationalError.

    The server's statement_timeout does not work when the server is frozen or the network drops every packet.
    Neither does canceling the task: psycopg would first ask the server, over a new connection, to cancel the
    statement, and wait for the answer.
    """

    __slots__ = ("_connection", "_seconds", "_timer")

    def __init__(self, connection: psycopg.AsyncConnection[Any], seconds: float) -> None:
        self._connection = connection
        self._seconds = seconds

    def __enter__(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._seconds, shut_sockets, self._connection.fileno())

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

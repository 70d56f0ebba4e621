"""Limits the number of client connections, and closes those that are idle or too slow."""

import asyncio
import resource
from collections import Counter, OrderedDict
from collections.abc import Collection
from typing import TYPE_CHECKING, cast

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

if TYPE_CHECKING:
    from ops_pipeline.serving.protocol import BoundedProtocol

MOST = 4096
"""The limit, even when more files may be open: each connection can buffer 64 KiB of headers, 256 MiB in
all."""
LEAST = 64
"""The minimum: with fewer, a handful of idle clients would block each other."""
FOR_PROBES = 32
"""Connections above the limit, on which only probes of liveness are answered."""
SWEEP_SECONDS = 1.0
MOST_PEERS = 20
"""How many addresses of clients that were cut off a log line names."""

log = structlog.get_logger()


class FileLimitError(OSError):
    """The limit on open files is too low; the message says what is required."""


def most_connections(own_files: int, files: int = 1) -> int:
    """How many connections the limit on open files leaves to clients, where the process itself has so many
    files open, and so many for each client. Raises FileLimitError."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MOST
    needed = own_files + files * (FOR_PROBES + LEAST)
    if soft < needed:
        raise FileLimitError(
            f"the limit on open files is {soft}, at least {needed} are required. Nothing was started. "
            "Raise the limit, then start it again: `ulimit -n 4096` in a shell, LimitNOFILE=4096 in a "
            "systemd unit, `--ulimit nofile=4096` for a container."
        )
    return min(MOST, (soft - own_files) // files - FOR_PROBES)


class Connections(ServerState):
    """The server's state, with at most `most` connections, each with time limits. Beyond it only the paths
    `alive` are answered. A websocket counts as a connection, without limits.

    `waiting` are the connections without a request being handled, longest waiting first: new, idle, with an
    incomplete head, with an incomplete body of a sender who is not known, or with a response that the client
    does not read. They are closed for newer ones.
    """

    def __init__(self, most: int, alive: Collection[str]) -> None:
        super().__init__()
        self.most = most
        self.alive = alive
        self.waiting: OrderedDict[BoundedProtocol, None] = OrderedDict()
        self._cut_off: Counter[str] = Counter()
        self._cut_off_peers: Counter[str] = Counter()
        self._swept = 0.0

    def watch(self) -> None:
        """Checks every connection each second from now on."""
        loop = asyncio.get_running_loop()
        loop.call_later(SWEEP_SECONDS, self.watch)
        now, before = loop.time(), self._swept
        self._swept = now
        if now - before > 2 * SWEEP_SECONDS:
            return  # the loop was busy: data that clients sent in this time has not been read yet
        for connection in self._bounded():
            connection.check(now)
        if self._cut_off:
            # One log line for all of them: clients decide how many there are.
            log.warning(
                "clients cut off",
                connections=len(self.connections),
                **self._cut_off,
                peers=dict(self._cut_off_peers),
            )
            self._cut_off.clear()
            self._cut_off_peers.clear()

    def has_new(self, now: float) -> bool:
        """Whether there is a connection whose first request may still be on its way."""
        return any(connection.is_new(now) for connection in self._bounded())

    def _bounded(self) -> list["BoundedProtocol"]:
        others = [connection for connection in self.connections if isinstance(connection, HttpToolsProtocol)]
        return cast("list[BoundedProtocol]", others)

    def count_cut_off(self, why: str, connection: "BoundedProtocol") -> None:
        """A client was cut off; the log says why, and how many there were of each address."""
        self._cut_off[why] += 1
        peer = connection.client[0] if connection.client else "unix"
        known = peer in self._cut_off_peers or len(self._cut_off_peers) < MOST_PEERS
        self._cut_off_peers[peer if known else "others"] += 1

    def opened(self, connection: "BoundedProtocol") -> None:
        """Closes the longest waiting connection when there are too many, or reserves the new one for
        probes."""
        self.waiting[connection] = None
        above = len(self.connections) - self.most
        if above <= 0:
            return
        oldest = next((other for other in self.waiting if not other.for_probes), connection)
        if oldest is connection:
            connection.for_probes = True
            oldest = next(iter(self.waiting))
            if above <= FOR_PROBES or oldest is connection:
                return
        del self.waiting[oldest]
        oldest.give_way()

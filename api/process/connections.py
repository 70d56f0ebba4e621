"""How many connections there may be, who gives way when there are more, and who has taken too long."""

import asyncio
import resource
from collections import Counter, OrderedDict
from typing import TYPE_CHECKING

import structlog
from uvicorn.server import ServerState

if TYPE_CHECKING:
    from api.process.protocol import BoundedProtocol

MOST = 4096
"""However many files may be open: each connection can hold 64 KiB of a head, so this is 256 MiB."""
LEAST = 64
"""With fewer, a handful of idle clients would be in each other's way."""
OWN_FILES = 128
"""What the process opens itself: up to 36 pooled database connections, those of the health checks, the log,
policy and archive files, the listening socket."""
FOR_PROBES = 32
"""Connections above the limit, on which only `/health/live` is answered."""
SWEEP_SECONDS = 1.0

log = structlog.get_logger()


class FileLimitError(OSError):
    """The process may open too few files; the message says how many it needs."""


def most_connections() -> int:
    """How many connections the limit on open files leaves to clients. Raises FileLimitError."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MOST
    needed = OWN_FILES + FOR_PROBES + LEAST
    if soft < needed:
        raise FileLimitError(
            f"it may open {soft} files and sockets and needs at least {needed}. Nothing was started. "
            "Raise the limit, then start it again: `ulimit -n 4096` in a shell, LimitNOFILE=4096 in a "
            "systemd unit, `--ulimit nofile=4096` for a container."
        )
    return min(MOST, soft - OWN_FILES - FOR_PROBES)


class Connections(ServerState):
    """The server's state, with at most `most` connections and none that takes for ever.

    `waiting` are those without a request at work, the one that has waited longest first: new, idle, with
    half a head, with an answer that its client does not read. They give way to newer ones.
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most
        self.waiting: OrderedDict[BoundedProtocol, None] = OrderedDict()
        self.cut_off: Counter[str] = Counter()
        self._swept = 0.0

    def watch(self) -> None:
        """Begins to look at every connection each second."""
        loop = asyncio.get_running_loop()
        loop.call_later(SWEEP_SECONDS, self.watch)
        now, before = loop.time(), self._swept
        self._swept = now
        if now - before > 2 * SWEEP_SECONDS:
            return  # the loop was busy: what clients have sent meanwhile has not been read yet
        for connection in list(self.connections):
            connection.check(now)  # type: ignore[union-attr]  # each is a BoundedProtocol
        if self.cut_off:
            # One line for all of them: a client decides how many there are.
            log.warning("clients cut off", connections=len(self.connections), **self.cut_off)
            self.cut_off.clear()

    def opened(self, connection: "BoundedProtocol") -> None:
        """Makes room for a connection where there are too many, or keeps it for probes alone."""
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

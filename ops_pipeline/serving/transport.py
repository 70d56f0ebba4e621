"""What stands between a connection's protocol and its transport."""

import asyncio
from collections.abc import Callable

from uvicorn.protocols.http.flow_control import FlowControl


class Flow(FlowControl):
    """Reads nothing from a connection while bytes of it are not parsed yet."""

    unparsed = False

    def hold(self, unparsed: bool) -> None:
        """Says whether there are such bytes."""
        before, self.unparsed = self.unparsed, unparsed
        if unparsed:
            self.pause_reading()
        elif before:
            self.resume_reading()

    def resume_reading(self) -> None:
        """Reads again, unless bytes are not parsed yet."""
        if not self.unparsed:
            super().resume_reading()


class OwnClose:
    """A transport as a response uses it, with another `close`."""

    __slots__ = ("close", "is_closing", "write")

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self.close = close
        self.is_closing = transport.is_closing
        self.write = transport.write

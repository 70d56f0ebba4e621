"""Shuts the process down in steps: not ready, not listening, requests answered, everything closed."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog
import uvicorn

from api.process.lifecycle import Lifecycle
from api.process.listen_queue import emptied
from ops_pipeline.serving.connections import Connections

BRIEFLY = 1.0
"""Seconds for canceled tasks to clean up."""

log = structlog.get_logger()


@dataclass(slots=True)
class Drain:
    """Shuts a server down within `seconds`, including `delay`.

    Each phase logs one line, with the seconds since the beginning.
    """

    server: uvicorn.Server
    lifecycle: Lifecycle
    seconds: float
    delay: float
    enforce: Callable[[], None] = lambda: None
    """Called, in any thread, when the shutdown begins; it limits the time that the shutdown may take."""
    succeeded: bool = True
    _began: float | None = None

    def begin(self, reason: str) -> None:
        """Turns ready to 503 and, after the delay, stops listening. A second call changes nothing."""
        if self._began is not None:
            return
        self._began = time.monotonic()
        self.enforce()
        self.lifecycle.draining = True
        self._log("draining", reason=reason)
        asyncio.get_running_loop().call_later(self.delay, self._stop_serving)

    def begin_on_uncaught(self) -> None:
        """Begins the drain on an uncaught exception; the process then exits with a failure."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._on_loop_exception)

        def in_thread(failed: threading.ExceptHookArgs) -> None:
            if failed.exc_value is not None and not isinstance(failed.exc_value, SystemExit):
                name = failed.thread.name if failed.thread else "unknown"
                self.enforce()  # the loop may be stuck
                loop.call_soon_threadsafe(self._fail, f"thread {name}", failed.exc_value)

        threading.excepthook = in_thread

    async def carry_out(self, sockets: list[socket.socket]) -> None:
        """The phases from the last new connection on. Called once, by the server."""
        await emptied(sockets)
        for server in self.server.servers:
            server.close()
        for listening in sockets:
            listening.close()
        self._log("stopped listening", in_flight=len(self.lifecycle.in_flight))
        await self._new_ones_heard()
        for connection in list(self.server.server_state.connections):
            connection.shutdown()  # an idle one is closed; one with a request is closed after its response
        if await self._answered():
            self._log("answered everything in flight")
        else:
            await self._cancel_rest()
        await self._close_everything()
        self._log("stopped", succeeded=self.succeeded)

    async def _new_ones_heard(self) -> None:
        """Waits for the first request of connections that were accepted last, for at most a second."""
        state = self.server.server_state
        loop = asyncio.get_running_loop()
        while isinstance(state, Connections) and state.has_new(loop.time()) and self._left() > 0:
            await asyncio.sleep(0.02)

    async def _answered(self) -> bool:
        state = self.server.server_state
        while state.connections or state.tasks:
            if self._left() <= 0:
                return False
            await asyncio.sleep(0.02)
        return True

    async def _cancel_rest(self) -> None:
        self.succeeded = False
        tasks = set(self.server.server_state.tasks)
        self._log(
            "time to drain is over, canceling the remaining requests", busy_with=self.lifecycle.busy_with()
        )
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=BRIEFLY)

    async def _close_everything(self) -> None:
        try:
            async with asyncio.timeout(max(BRIEFLY, self._left())):
                await self.server.lifespan.shutdown()
        except TimeoutError:
            self.succeeded = False
            self._log("closing took too long")
            return
        if self.server.lifespan.should_exit:
            self.succeeded = False
            self._log("closing failed")
            return
        self._log("closed pools and checks")

    def _stop_serving(self) -> None:
        self.server.should_exit = True

    def _on_loop_exception(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._fail(context.get("message", "event loop"), context.get("exception"))

    def _fail(self, where: str, error: BaseException | None) -> None:
        self.succeeded = False
        log.error("uncaught", where=where, exc_info=error)
        self.begin(f"uncaught exception in {where}")

    def _left(self) -> float:
        return self.seconds - self._elapsed()

    def _elapsed(self) -> float:
        return time.monotonic() - self._began if self._began is not None else 0.0

    def _log(self, phase: str, **details: object) -> None:
        log.info(phase, seconds=round(self._elapsed(), 3), **details)

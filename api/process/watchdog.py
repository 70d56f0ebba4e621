"""Threads that handle signals, detect a stuck event loop, and can end the process."""

import asyncio
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import uuid4

import structlog

BEAT_SECONDS = 0.5
STUCK_AFTER_SECONDS = 5.0
"""A loop that has not run for this time answers no request; only a restart helps."""
STOPPING = (signal.SIGTERM, signal.SIGINT)
GRACE_SECONDS = 3.0
"""How much longer than the drain time the loop may take to end."""
STUCK_ANSWER = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n"
    b'Connection: close\r\nContent-Length: 18\r\nX-Request-Id: %b\r\n\r\n{"status":"stuck"}'
)

log = structlog.get_logger()


@dataclass(slots=True)
class Watchdog:
    """Watches one event loop from threads of its own.

    `stop` is called in the loop with the first signal's name. A second signal ends the process at once with
    exit code 1, and so does the end of `shutdown_seconds` plus 3 seconds after the first, even if the loop is
    stuck.
    """

    loop: asyncio.AbstractEventLoop
    listening: socket.socket
    stop: Callable[[str], None]
    shutdown_seconds: float
    busy_with: Callable[[], list[str]]
    _turned: float = field(default_factory=time.monotonic)
    _ended: threading.Event = field(default_factory=threading.Event)
    _enforcing: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Begins to watch. Signals are blocked in this thread and every later one, and a thread waits for
        them: a loop that is stuck in C code would never run a signal handler."""
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
        threading.Thread(target=self._take_signals, name="signals", daemon=True).start()
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()
        self._beat()

    def enforce(self) -> None:
        """The shutdown has begun: ends the process with 1 if it takes too long, even if the loop is stuck."""
        if not self._enforcing.is_set():
            self._enforcing.set()
            threading.Thread(target=self._end_in_time, name="deadline", daemon=True).start()

    def let_go(self) -> None:
        """Closes the listening socket: while it is open, the port accepts connections."""
        self._ended.set()
        self.listening.close()

    def _beat(self) -> None:
        self._turned = time.monotonic()
        if not self._ended.is_set():
            self.loop.call_later(BEAT_SECONDS, self._beat)

    def _take_signals(self) -> None:
        first = signal.Signals(signal.sigwait(STOPPING)).name
        self.loop.call_soon_threadsafe(self.stop, first)
        self.enforce()
        second = signal.Signals(signal.sigwait(STOPPING)).name
        log.error("second signal, exiting at once", signal=second, busy_with=self.busy_with())
        os._exit(1)

    def _end_in_time(self) -> None:
        time.sleep(self.shutdown_seconds + GRACE_SECONDS)
        log.error("time to drain is over and the event loop does not end", busy_with=self.busy_with())
        os._exit(1)

    def _watch(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            stuck_for = time.monotonic() - self._turned
            if stuck_for > STUCK_AFTER_SECONDS:
                log.error("event loop stuck", seconds=round(stuck_for, 1), busy_with=self.busy_with())
                self._answer_in_its_place()
                if not self._ended.is_set():
                    log.info("event loop runs again")

    def _answer_in_its_place(self) -> None:
        """Accepts connections in place of the loop and answers 503, until the loop runs again."""
        while time.monotonic() - self._turned > STUCK_AFTER_SECONDS and not self._ended.is_set():
            try:
                readable, _, _ = select.select([self.listening], [], [], BEAT_SECONDS)
                if not readable:
                    continue
                connection, _ = self.listening.accept()
            except BlockingIOError:
                continue
            except (OSError, ValueError):
                return  # it was closed
            with connection:
                connection.settimeout(1.0)
                try:
                    connection.recv(65536)
                    connection.sendall(STUCK_ANSWER % uuid4().hex.encode())
                except OSError:
                    continue  # the client has disconnected

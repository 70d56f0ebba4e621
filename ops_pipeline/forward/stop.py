"""A request to stop, by a signal: what is under way may end, within a bound."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

WITHIN_SECONDS = 8.0
"""How long the batch in flight may take after the signal. Docker kills a container after 10 s."""


class Stop:
    """Whether to stop, and waits that end when that is requested."""

    def __init__(self) -> None:
        self._event = threading.Event()

    @property
    def requested(self) -> bool:
        """Whether to stop after the batch in flight."""
        return self._event.is_set()

    def request(self) -> None:
        """Requests it."""
        self._event.set()

    def wait(self, seconds: float) -> bool:
        """Waits so long, or until it is requested; returns whether it is."""
        return self._event.wait(seconds)


@contextmanager
def stop_on_signal() -> Iterator[Stop]:
    """A Stop that SIGTERM or SIGINT requests. A second signal, or 8 seconds, raise KeyboardInterrupt."""
    stop = Stop()

    def request(number: int, frame: FrameType | None) -> None:
        if stop.requested:
            signal.default_int_handler(number, frame)
        stop.request()
        signal.setitimer(signal.ITIMER_REAL, WITHIN_SECONDS)

    handlers = {signal.SIGTERM: request, signal.SIGINT: request, signal.SIGALRM: signal.default_int_handler}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield stop
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)

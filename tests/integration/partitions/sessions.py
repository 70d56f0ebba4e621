"""Other users of a table: sessions that work, each in a thread, until the test is over."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg

Session = psycopg.Connection[tuple[object, ...]]


class Sessions:
    """What the sessions have `done`, and where one `failed` or did not see what it should."""

    def __init__(self, url: str) -> None:
        self.done: Counter[str] = Counter()
        self.failed: list[str] = []
        self._url = url
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, work: Callable[[Session], None]) -> None:
        """Repeats `work` on a connection of its own."""

        def run() -> None:
            with psycopg.connect(self._url, autocommit=True, prepare_threshold=1) as own:
                try:
                    while not self._over.is_set():
                        work(own)
                        self.done[work.__name__] += 1
                except Exception as error:
                    self.failed.append(f"{work.__name__}: {error!r}")
                    raise

        self._threads.append(threading.Thread(target=run))
        self._threads[-1].start()

    def expect(self, what: str, found: object, right: object) -> None:
        if found != right:
            self.failed.append(f"{what}: {found!r} instead of {right!r}")

    def stop(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


@contextmanager
def working(url: str) -> Iterator[Sessions]:
    """Sessions that end with the context."""
    sessions = Sessions(url)
    try:
        yield sessions
    finally:
        sessions.stop()

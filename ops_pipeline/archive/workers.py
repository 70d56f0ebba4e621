"""Daemon threads for storage calls that may hang: neither callers nor the process's end wait for them."""

from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any, TypeVar

Result = TypeVar("Result")


class Workers:
    """A number of threads that run calls in the order in which they are submitted.

    concurrent.futures joins its threads when the interpreter exits, however long they hang; these threads do
    not delay the exit.
    """

    def __init__(self, threads: int, name: str) -> None:
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._ending = Event()
        self._threads = [
            Thread(target=self._work, name=f"{name}-{number}", daemon=True) for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.end(wait=kind is None or issubclass(kind, Exception))  # an interrupt does not wait

    def submit(self, call: Callable[[], Result]) -> "Future[Result]":
        """A future for the call's result or exception."""
        future: Future[Result] = Future()
        self._calls.put((future, call))
        return future

    def end(self, *, wait: bool = True) -> None:
        """Starts no more calls and, with `wait`, waits for the running ones."""
        self._ending.set()
        for _ in self._threads:
            self._calls.put(None)
        for thread in self._threads if wait else ():
            thread.join()

    def _work(self) -> None:
        while (submitted := self._calls.get()) is not None:
            future, call = submitted
            if self._ending.is_set():
                future.cancel()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = call()
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)

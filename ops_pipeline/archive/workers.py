"""Threads that may hang: nobody has to wait for them, the process's end included."""

from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any, TypeVar

Result = TypeVar("Result")


class Workers:
    """So many threads that carry out calls in the order they are submitted.

    concurrent.futures joins its threads when the interpreter ends, however long they hang; these it leaves.
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
        self.end(wait=kind is None or issubclass(kind, Exception))  # an interrupt is not kept waiting

    def submit(self, call: Callable[[], Result]) -> "Future[Result]":
        """What the call returns or raises, once it is done."""
        future: Future[Result] = Future()
        self._calls.put((future, call))
        return future

    def end(self, *, wait: bool = True) -> None:
        """Begins no more calls, and waits for those at work, unless not to `wait`."""
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

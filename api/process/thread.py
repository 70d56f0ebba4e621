"""Runs blocking work in a thread of its own, as a future of the event loop."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

Answer = TypeVar("Answer")


def in_thread(work: Callable[[], Answer], name: str) -> asyncio.Future[Answer]:
    """A future with the result or error of the work. The thread ends with the process.

    `asyncio.to_thread` has few threads, shared by all, and the process waits for them at exit. Here work that
    never ends, such as on a network disk, blocks nothing. The caller limits the number of threads.
    """
    answer: Future[Answer] = Future()

    def run() -> None:
        answer.set_running_or_notify_cancel()
        try:
            answer.set_result(work())
        except Exception as error:  # for the caller, which awaits the future
            answer.set_exception(error)

    threading.Thread(target=run, name=name, daemon=True).start()
    future = asyncio.wrap_future(answer)
    # A failure that no caller waits for must not reach the loop's exception handler, which ends the process.
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    return future

"""Runs blocking work in a thread of its own, for the event loop to wait for."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

Answer = TypeVar("Answer")


def in_thread(work: Callable[[], Answer], name: str) -> asyncio.Future[Answer]:
    """What the work returns or raises. The thread ends with the process.

    `asyncio.to_thread` has few threads, which all share, and the process waits for them on its way out: here
    work that never ends, such as on a disk of a network, holds up nothing. The caller limits how many there
    are.
    """
    answer: Future[Answer] = Future()

    def run() -> None:
        answer.set_running_or_notify_cancel()
        try:
            answer.set_result(work())
        except Exception as error:  # for the caller, who waits for the answer
            answer.set_exception(error)

    threading.Thread(target=run, name=name, daemon=True).start()
    future = asyncio.wrap_future(answer)
    # A failure that the caller no longer waits for must not reach the loop's handler, which ends the process.
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    return future

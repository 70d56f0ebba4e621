"""Work in a thread of its own returns to the event loop, and harms it neither late nor failed."""

import asyncio
import gc
import threading
from typing import Any

import pytest

from api.process.thread import in_thread


def test_the_loop_gets_what_the_work_returns_and_raises() -> None:
    async def wait() -> int:
        with pytest.raises(ZeroDivisionError):
            await in_thread(lambda: 1 // 0, "fails")
        return await in_thread(lambda: 1 + 1, "adds")

    assert asyncio.run(wait()) == 2


def test_a_failure_after_the_caller_gave_up_reaches_no_handler() -> None:
    reported: list[dict[str, Any]] = []
    gave_up = threading.Event()

    def fail_late() -> None:
        gave_up.wait(10)
        raise ZeroDivisionError

    async def give_up() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
        future = in_thread(fail_late, "fails late")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await asyncio.shield(future)
        gave_up.set()
        while not future.done():
            await asyncio.sleep(0)
        del future
        gc.collect()
        await asyncio.sleep(0)

    asyncio.run(give_up())

    assert not reported

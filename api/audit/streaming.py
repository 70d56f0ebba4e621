"""Bodies that are sent in parts: failures before the first part, and a record at the end."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing

from api.problems import Problem


async def started(parts: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    """The parts, the first of which is there: what fails before it can still be answered as a problem.

    A generator that has started runs its `finally` in any case, even when the client is gone before the
    answer begins.
    """
    first = await anext(parts)

    async def rejoined() -> AsyncIterator[bytes]:
        async with aclosing(parts):
            yield first
            async for part in parts:
                yield part

    return rejoined()


async def recorded(
    parts: AsyncGenerator[bytes, None], record: Callable[[], Awaitable[None]]
) -> AsyncGenerator[bytes, None]:
    """The parts, and a record when they end.

    At their own end it is made before the body's: without the record the body has none. When they broke
    off, the client no longer waits; then the record is made in the background.
    """
    complete = False
    try:
        async with aclosing(parts):
            async for part in parts:
                yield part
        await record()
        complete = True
    finally:
        if not complete:
            _background.add(task := asyncio.get_running_loop().create_task(_attempted(record)))
            task.add_done_callback(_background.discard)


_background: set[asyncio.Task[None]] = set()


async def _attempted(record: Callable[[], Awaitable[None]]) -> None:
    try:
        await record()
    except Problem:
        return  # in the log already, and no client waits for it

"""A body that is sent in parts, and what has to happen at its end, whoever brings that about."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing

from api.problems import Problem


async def begun(parts: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    """The parts, the first of which is there: what fails before it can still be answered as a problem.

    A generator that has begun runs its `finally` in any case, even when the client is gone before the
    answer begins.
    """
    first = await anext(parts)

    async def rejoined() -> AsyncIterator[bytes]:
        async with aclosing(parts):
            yield first
            async for part in parts:
                yield part

    return rejoined()


async def noted(
    parts: AsyncGenerator[bytes, None], note: Callable[[], Awaitable[None]]
) -> AsyncGenerator[bytes, None]:
    """The parts, and a note when they end.

    At their own end the note is made before the body's: without the note it has none. When they broke
    off, nobody waits any more; then the note is made in the background.
    """
    complete = False
    try:
        async with aclosing(parts):
            async for part in parts:
                yield part
        await note()
        complete = True
    finally:
        if not complete:
            _background.add(task := asyncio.get_running_loop().create_task(_attempted(note)))
            task.add_done_callback(_background.discard)


_background: set[asyncio.Task[None]] = set()


async def _attempted(note: Callable[[], Awaitable[None]]) -> None:
    try:
        await note()
    except Problem:
        return  # in the log already, and nobody is left to be told

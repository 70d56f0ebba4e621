"""Bodies that are sent in parts: failures before the first part, and a record at the end."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, Protocol

from api.audit.read_trail import ReadTrail
from api.problems import AnyRequest, Problem


class Counted(Protocol):
    """What makes the parts; it counts the rows in them."""

    rows: int


async def recorded_stream(
    trail: ReadTrail,
    request: AnyRequest,
    action: str,
    given: dict[str, Any],
    parts: AsyncGenerator[bytes, None],
    counted: Counted,
) -> AsyncIterator[bytes]:
    """The parts, with a record that they were begun, and one at their end of how many rows they had.

    When this returns the first is there: what fails before it can still be answered as a problem.
    """
    await trail.record(request, f"{action}.started", given, 0)

    async def record_end() -> None:
        await trail.record(request, action, given, counted.rows)

    return await _started(_recorded(parts, record_end))


async def _started(parts: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    """The parts, the first of which is there.

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


async def _recorded(
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

"""Streams response bodies whose reads are recorded in the audit log, at the start and at the end."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, Protocol

from api.audit.read_trail import ReadTrail
from api.problems import AnyRequest, Problem


class Counted(Protocol):
    """The source of the parts, which counts their rows."""

    rows: int


async def recorded_stream(
    trail: ReadTrail,
    request: AnyRequest,
    action: str,
    given: dict[str, Any],
    parts: AsyncGenerator[bytes, None],
    counted: Counted,
) -> AsyncIterator[bytes]:
    """The parts; a record is stored before the first one, and one with the number of rows at the end.

    It returns once the first part was read, so that earlier failures can still be returned as a problem.
    """
    await trail.record(request, f"{action}.started", given, 0)

    async def record_end() -> None:
        await trail.record(request, action, given, counted.rows)

    return await _started(_recorded(parts, record_end))


async def _started(parts: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    """The parts, after the first one was read.

    A generator that has started always runs its `finally`, even when the client disconnects before the
    response begins.
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

    A complete stream is recorded before its body ends: if that fails, the body is left unterminated. When
    the stream was interrupted, no client waits, and the record is stored in the background.
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
        return  # it was logged, and no client waits for it

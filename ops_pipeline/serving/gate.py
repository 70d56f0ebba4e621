"""Lets few requests through at a time; a bounded number of others wait in order."""

import asyncio
from typing import Self


class GateFullError(Exception):
    """Too many wait already, or it took too long."""


class Gate:
    """At most `most` blocks `async with gate` run at a time.

    At most `most_waiting` others wait, each for `seconds`; beyond that, GateFullError is raised.
    """

    __slots__ = ("_inside", "_most_waiting", "_seconds", "_waiting")

    def __init__(self, most: int, most_waiting: int, seconds: float) -> None:
        self._inside = asyncio.Semaphore(most)
        self._most_waiting = most_waiting
        self._seconds = seconds
        self._waiting = 0

    async def __aenter__(self) -> Self:
        if not self._inside.locked():
            await self._inside.acquire()
            return self
        if self._waiting >= self._most_waiting:
            raise GateFullError
        self._waiting += 1
        try:
            async with asyncio.timeout(self._seconds):
                await self._inside.acquire()
        except TimeoutError:
            raise GateFullError from None
        finally:
            self._waiting -= 1
        return self

    async def __aexit__(self, *_: object) -> None:
        self._inside.release()

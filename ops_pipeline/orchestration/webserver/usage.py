"""Limits what one person has in use at a time, so that something is left for the others."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from starlette.types import Scope

from ops_pipeline.orchestration.identity import Person
from ops_pipeline.orchestration.webserver.refusal import Refusal
from ops_pipeline.serving import connections, known_sender
from ops_pipeline.serving.gate import Gate, GateFullError

MOST_REQUESTS = 10
"""Dagster executes them in 40 threads. A browser sends 6 at a time over HTTP/1.1."""
MOST_WAITING = 100
WAIT_SECONDS = 30.0
MOST_WEBSOCKETS = 50
"""Each tab of a browser has one."""


class Usage:
    """What each person has in use: a key, or a name where there is no key.

    Of the server's `most` connections a person has at most half, and so have all websockets together.
    """

    def __init__(self, most: int = connections.MOST) -> None:
        self._share = most // 2
        self._gates: dict[UUID | str, Gate] = defaultdict(
            lambda: Gate(MOST_REQUESTS, MOST_WAITING, WAIT_SECONDS)
        )
        self._turns: dict[UUID | str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._requests = Counter[UUID | str]()
        self._websockets = Counter[UUID | str]()

    def turn(self, person: Person) -> asyncio.Lock:
        """What the websockets of that person start their subscriptions in turn with."""
        return self._turns[_owner(person)]

    @asynccontextmanager
    async def counted(self, scope: Scope, person: Person) -> AsyncIterator[None]:
        """The person's request is served during the block. Raises Refusal: 429 when they have too many, 503
        when all have too many websockets."""
        owner = _owner(person)
        if self._requests[owner] + self._websockets[owner] >= self._share:
            raise _too_many(person, f"{self._share} connections")
        kind = self._websockets if scope["type"] == "websocket" else self._requests
        if kind is self._websockets:
            self._refuse_websocket(owner, person)
        kind[owner] += 1
        known_sender.tell(scope)
        try:
            async with self._turn(scope, owner, person):
                yield
        finally:
            kind[owner] -= 1
            if not kind[owner]:
                del kind[owner]

    @asynccontextmanager
    async def _turn(self, scope: Scope, owner: UUID | str, person: Person) -> AsyncIterator[None]:
        if scope["type"] == "websocket":
            yield
            return
        gate = self._gates[owner]
        try:
            await gate.__aenter__()
        except GateFullError:
            raise _too_many(person, f"{MOST_REQUESTS} requests in progress, and others waiting") from None
        try:
            yield
        finally:
            await gate.__aexit__()

    def _refuse_websocket(self, owner: UUID | str, person: Person) -> None:
        if self._websockets[owner] >= MOST_WEBSOCKETS:
            raise _too_many(person, f"{MOST_WEBSOCKETS} websockets")
        if self._websockets.total() >= self._share:
            raise Refusal(503, f"{self._share} websockets are open, which is the limit. Close a tab")


def _owner(person: Person) -> UUID | str:
    return person.key_id or person.name


def _too_many(person: Person, what: str) -> Refusal:
    return Refusal(
        429,
        f"{person.name} has {what}, the limit. Nothing was done; try again",
        {"Retry-After": "5"},
    )

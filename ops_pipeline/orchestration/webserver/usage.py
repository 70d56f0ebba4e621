"""Limits what one person has in use at a time, so that something is left for the others."""

from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from starlette.types import Scope

from ops_pipeline.orchestration.identity import Person
from ops_pipeline.orchestration.webserver.refusal import Refusal
from ops_pipeline.serving.gate import Gate, GateFullError

MOST_POSTS = 10
"""Requests that post, which Dagster executes in 40 threads. A browser sends 6 at a time over HTTP/1.1."""
MOST_WAITING = 100
WAIT_SECONDS = 30.0
MOST_WEBSOCKETS = 50
"""Each tab of a browser has one."""


class Usage:
    """What each person has in use: a key, or a name where there is no key."""

    def __init__(self) -> None:
        self._posts: dict[UUID | str, Gate] = defaultdict(
            lambda: Gate(MOST_POSTS, MOST_WAITING, WAIT_SECONDS)
        )
        self._websockets: dict[UUID | str, int] = defaultdict(int)

    @asynccontextmanager
    async def counted(self, scope: Scope, person: Person) -> AsyncIterator[None]:
        """The person's request is served during the block. Raises Refusal 429 when they have too many."""
        owner = person.key_id or person.name
        if scope["type"] == "websocket":
            if self._websockets[owner] >= MOST_WEBSOCKETS:
                raise _too_many(person, f"{MOST_WEBSOCKETS} websockets")
            self._websockets[owner] += 1
            try:
                yield
            finally:
                self._websockets[owner] -= 1
        elif scope["method"] == "POST":
            gate = self._posts[owner]
            try:
                await gate.__aenter__()
            except GateFullError:
                raise _too_many(person, f"{MOST_POSTS} requests in progress, and others waiting") from None
            try:
                yield
            finally:
                await gate.__aexit__()
        else:
            yield


def _too_many(person: Person, what: str) -> Refusal:
    return Refusal(
        429,
        f"{person.name} has {what}, the limit. Nothing was done; try again",
        {"Retry-After": "5"},
    )

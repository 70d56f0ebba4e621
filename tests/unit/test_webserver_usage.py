"""What one person has in use in the Dagster UI leaves something for the others."""

import asyncio
import json
from contextlib import AsyncExitStack

import pytest

from ops_pipeline.orchestration.identity import Person
from ops_pipeline.orchestration.webserver import subscriptions, usage
from ops_pipeline.orchestration.webserver.refusal import Refusal
from ops_pipeline.orchestration.webserver.subscriptions import Subscriptions


async def _use_websockets(usage_: usage.Usage, *people: str) -> list[int]:
    """The statuses of a request and of a websocket that others open while these people have a websocket."""
    async with AsyncExitStack() as open_:
        for name in people:
            await open_.enter_async_context(usage_.counted({"type": "websocket"}, Person(name)))
        refused = []
        for kind in ({"type": "http", "method": "GET"}, {"type": "websocket"}):
            try:
                await open_.enter_async_context(usage_.counted(kind, Person("grace")))
                refused.append(200)
            except Refusal as refusal:
                refused.append(refusal.status)
    return refused


def test_websockets_leave_half_of_the_connections_to_requests() -> None:
    shared = usage.Usage(most=8)

    assert asyncio.run(_use_websockets(shared, "ada", "ada", "eve")) == [200, 200]
    assert asyncio.run(_use_websockets(shared, "ada", "ada", "eve", "eve")) == [200, 503]
    assert asyncio.run(_use_websockets(shared, "grace", "grace", "grace", "grace")) == [429, 429]


def test_a_person_starts_one_subscription_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dagster validates in its event loop: a person who starts many leaves it to others in between."""
    monkeypatch.setattr(subscriptions, "REST", 0)
    start = {"type": "start", "id": "1", "payload": {"query": "subscription {a}"}}

    async def receive() -> dict[str, str]:
        return {"type": "websocket.receive", "text": json.dumps(start)}

    async def open_two() -> None:
        turn = asyncio.Lock()
        one, other = Subscriptions(receive, turn), Subscriptions(receive, turn)
        await one.next()
        waiting = asyncio.ensure_future(other.next())
        await asyncio.wait({waiting}, timeout=0.2)
        assert not waiting.done(), "Dagster still works on the first"
        one.end_turn()
        await waiting
        other.end_turn()
        assert not turn.locked()

    asyncio.run(open_two())

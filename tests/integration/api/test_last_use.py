"""The task that records when keys were last used ends on request, whatever it is doing."""

import asyncio
from datetime import UTC, datetime

import pytest

from api.auth import last_use
from api.auth.last_use import LastUse
from api.db.pool import Pool
from ops_pipeline.access import keys
from ops_pipeline.postgres.connection import Connection, scalar

TURNS = 5
"""More turns of the event loop than a returned connection takes to reach the task that waits for it."""


@pytest.mark.parametrize("turns", range(TURNS))
def test_it_ends_though_it_gets_a_connection_while_it_closes(
    url: str, connection: Connection, monkeypatch: pytest.MonkeyPatch, turns: int
) -> None:
    key = keys.create(connection, "busy", ["audit:read"])
    monkeypatch.setattr(last_use, "LOOK_SECONDS", 0)

    async def leave_while_waiting() -> None:
        pool = Pool(url, lambda *_: None, max_size=1)
        async with pool:
            recording = LastUse(pool)
            await recording.__aenter__()
            async with pool.connection():
                recording.record(key.id)
                while not pool.waiting:
                    await asyncio.sleep(0)
            for _ in range(turns):
                await asyncio.sleep(0)
            leaving = asyncio.create_task(recording.__aexit__())
            _, late = await asyncio.wait({leaving}, timeout=10)
            assert not late, "the task does not end"

    asyncio.run(leave_while_waiting())

    assert scalar(connection, "SELECT max(last_used_at) FROM ops.api_keys") <= datetime.now(UTC)

"""`python -m api` with routes that misbehave, for the tests of the way out."""

import asyncio
import threading
import time

from litestar import Litestar, get

from api import app, server
from ops_pipeline.settings import Settings


@get("/fault/sleep")
async def sleep(seconds: float) -> dict[str, float]:
    await asyncio.sleep(seconds)
    return {"slept": seconds}


@get("/fault/block", sync_to_thread=False)
def block(seconds: float) -> dict[str, float]:
    time.sleep(seconds)
    return {"blocked": seconds}


@get("/fault/thread", sync_to_thread=False)
def thread() -> str:
    threading.Thread(target=lambda: 1 / 0, name="doomed").start()
    return "started"


@get("/fault/task")
async def task() -> str:
    asyncio.get_running_loop().call_soon(lambda: 1 / 0)
    return "started"


create_app = app.create_app


def with_faults(settings: Settings) -> Litestar:
    made = create_app(settings)
    for handler in (sleep, block, thread, task):
        made.register(handler)
    return made


if __name__ == "__main__":
    server.create_app = with_faults  # type: ignore[attr-defined]
    server.main()

"""`python -m api` with additional routes that misbehave, for tests of the shutdown."""

import asyncio
import os
import threading
import time

from litestar import Litestar, get

from api import app, server
from api.audit import tail
from api.health import registry
from ops_pipeline.serving import background, protocol
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


@get("/fault/thread-then-block", sync_to_thread=False)
def thread_then_block(seconds: float) -> str:
    threading.Thread(target=lambda: 1 / 0, name="doomed").start()
    time.sleep(seconds)
    return "blocked"


@get("/fault/task")
async def task() -> str:
    asyncio.get_running_loop().call_soon(lambda: 1 / 0)
    return "started"


@get("/fault/kept-task")
async def kept_task() -> str:
    async def fail() -> None:
        raise ZeroDivisionError

    kept.append(background.start(fail(), "doomed"))
    return "started"


kept: list[asyncio.Task[None]] = []
create_app = app.create_app


def with_faults(settings: Settings) -> Litestar:
    made = create_app(settings)
    for handler in (sleep, block, thread, thread_then_block, task, kept_task):
        made.register(handler)
    return made


if __name__ == "__main__":
    registry.SLOWLY = float(os.environ.get("FAULT_SLOWLY", registry.SLOWLY))
    if heartbeat := os.environ.get("FAULT_HEARTBEAT"):
        tail.HEARTBEAT_SECONDS = float(heartbeat)
    if deadlines := os.environ.get("FAULT_DEADLINES"):
        for name in ("HEAD_SECONDS", "BODY_SECONDS", "UNREAD_SECONDS", "CLOSING_SECONDS"):
            setattr(protocol, name, float(deadlines))
        server.KEEP_ALIVE_SECONDS = int(float(deadlines))  # type: ignore[attr-defined]  # imported there
    server.create_app = with_faults  # type: ignore[attr-defined]  # imported there
    server.main()

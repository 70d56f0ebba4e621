"""Serves Dagster's downloads, which it makes in its event loop, where everyone else would wait for them."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import dagster as dg
from starlette.types import ASGIApp, Message, Scope, Send

from ops_pipeline.orchestration.webserver.refusal import Refusal
from ops_pipeline.serving.gate import Gate, GateFullError

DEBUG, LOGS = "/download_debug/", "/logs/"
NOTEBOOKS = {"/notebook", "/dagit/notebook"}
MOST_WAITING = 20
WAIT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Downloads:
    """Dagster's application `app`; `find_run` looks a run up by its id."""

    app: ASGIApp
    find_run: Callable[[str], dg.DagsterRun | None]
    _turns: Gate = field(default_factory=lambda: Gate(1, MOST_WAITING, WAIT_SECONDS))

    async def serve(self, scope: Scope, send: Send) -> bool:
        """Serves the request in a thread, one such request at a time; False where it asks for another page.

        Raises Refusal: 404 for what does not exist and Dagster would answer with a traceback, 503 when too
        many wait.
        """
        path = scope["path"]
        if path.startswith(LOGS):
            _refuse_outside(path)
        if not path.startswith(DEBUG) and path not in NOTEBOOKS:
            return False
        try:
            async with self._turns:
                if path.startswith(DEBUG):
                    await self._refuse_absent(path.removeprefix(DEBUG))
                messages = await asyncio.to_thread(asyncio.run, self._messages(scope))
        except GateFullError:
            raise Refusal(503, "Too many downloads are being made. Try again", {"Retry-After": "5"}) from None
        for message in messages:
            await send(message)
        return True

    async def _refuse_absent(self, run_id: str) -> None:
        if not run_id.isprintable() or await asyncio.to_thread(self.find_run, run_id) is None:
            raise Refusal(404, f"The run {run_id[:100]} does not exist")

    async def _messages(self, scope: Scope) -> list[Message]:
        """All of the answer, so that a client that reads it slowly delays no other one."""
        messages: list[Message] = []

        async def send(message: Message) -> None:
            messages.append(message)

        async def receive() -> Message:
            await asyncio.Event().wait()
            raise AssertionError("a request without a body has nothing more")

        await self.app(scope, receive, send)
        return messages


def _refuse_outside(path: str) -> None:
    names = path.removeprefix(LOGS).split("/")
    if len(names) < 2 or ".." in names:
        raise Refusal(404, "Not found: the address of a step's log is /logs/<run>/compute_logs/<file>.<kind>")

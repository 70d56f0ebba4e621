"""Reads what a websocket of the Dagster UI receives, and passes on nothing but subscriptions."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from starlette.types import Message, Receive

from ops_pipeline.orchestration.webserver import posted
from ops_pipeline.orchestration.webserver.refusal import Refusal

MOST_STARTED = 500
"""Subscriptions of a websocket that were not stopped."""
LONGEST_ID = 100
REST = 4
"""How many times as long as Dagster took for the start of a subscription its person starts no other one."""


@dataclass(slots=True)
class Subscriptions:
    """The messages of a websocket that speaks the protocol `graphql-ws`.

    Dagster parses and validates a message in its event loop, where everyone else waits. So one that is large
    is refused, and `turn`, which the websockets of a person share, leaves them a fifth of the time.
    """

    receive: Receive
    turn: asyncio.Lock
    _started: set[str] = field(default_factory=set)
    _passed_on: float | None = None

    async def next(self) -> Message:
        """The next message, encoded again. Raises Refusal for one that is invalid, or starts something
        other than a subscription."""
        if self._passed_on is not None:
            await asyncio.sleep(REST * (asyncio.get_running_loop().time() - self._passed_on))
            self.end_turn()
        message = await self.receive()
        if message["type"] != "websocket.receive":
            return message
        read = await asyncio.to_thread(self._read, message.get("text") or "")
        if read["type"] == "start":
            await self.turn.acquire()
            self._passed_on = asyncio.get_running_loop().time()
        return {"type": "websocket.receive", "text": json.dumps(read)}

    def end_turn(self) -> None:
        """Lets the person's other websockets start subscriptions. Called at the websocket's end as well."""
        if self._passed_on is not None:
            self._passed_on = None
            self.turn.release()

    def _read(self, text: str) -> dict[str, Any]:
        content = posted.loaded(text)
        kind = content.get("type") if isinstance(content, dict) else None
        number = content.get("id", "") if isinstance(content, dict) else None
        if not isinstance(kind, str) or not isinstance(number, str) or len(number) > LONGEST_ID:
            raise Refusal(400, "Invalid message: not one of the graphql-ws protocol")
        if kind == "start":
            return {"type": kind, "id": number, "payload": self._start(number, content.get("payload"))}
        if kind == "stop":
            self._started.discard(number)
        return {"type": kind, "id": number}

    def _start(self, number: str, payload: Any) -> dict[str, Any]:
        request, document = posted.decode(payload)
        if not document.only_subscribes:
            raise Refusal(403, "A websocket may subscribe; send anything else by POST")
        self._started.add(number)
        if len(self._started) > MOST_STARTED:
            raise Refusal(429, f"The websocket has {MOST_STARTED} subscriptions; stop some")
        # Of a websocket Dagster reads this name.
        request["operation_name"] = request.pop("operationName")
        return request

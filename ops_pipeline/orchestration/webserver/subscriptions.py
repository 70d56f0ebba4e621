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


@dataclass(slots=True)
class Subscriptions:
    """The messages of a websocket that speaks the protocol `graphql-ws`.

    Dagster parses and validates a message in its event loop, so that one that is large would stop everyone.
    """

    receive: Receive
    _started: set[str] = field(default_factory=set)

    async def next(self) -> Message:
        """The next message, encoded again. Raises Refusal for one that is invalid, or starts something
        other than a subscription."""
        message = await self.receive()
        if message["type"] != "websocket.receive":
            return message
        read = await asyncio.to_thread(self._read, message.get("text") or "")
        return {"type": "websocket.receive", "text": json.dumps(read)}

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
        return {"query": request["query"], "variables": request["variables"]}

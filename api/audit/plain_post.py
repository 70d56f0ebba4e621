"""Stores a plain POST of one event."""

import msgspec
from litestar import Request
from litestar.status_codes import HTTP_201_CREATED
from litestar.types import HTTPScope, Receive, ReceiveMessage, Send

from api.audit.body import MOST_BYTES, Json
from api.audit.checking import checked, is_small
from api.audit.ingest import PATH, SCOPE, store_one
from api.audit.plain import answer
from api.audit.store import sender
from api.auth.caller import Caller
from api.problems import answer_to
from api.services import Services
from ops_pipeline.audit.event import AuditEvent, EventError


class PlainPost:
    """Plain means: a valid and small event, as JSON on one line in one message."""

    path = PATH
    key_scope = SCOPE

    def __init__(self, services: Services) -> None:
        self._queue = services.audit_queue
        self._limits = services.limits
        self._settings = services.settings

    async def handle(self, scope: HTTPScope, receive: Receive, send: Send, caller: Caller) -> Receive | None:
        """As `fast_path.Plain` says."""
        if scope["query_string"]:
            return receive
        message = await receive()
        if (plain := self._plain_event(message, caller)) is None:
            return _again(message, receive)
        await self._store(*plain, caller, scope, receive, send)
        return None

    def _plain_event(self, message: ReceiveMessage, caller: Caller) -> tuple[Json, AuditEvent] | None:
        if message["type"] != "http.request" or message["more_body"] or len(message["body"]) > MOST_BYTES:
            return None
        body = message["body"].strip()
        if not body.startswith(b"{") or b"\n" in body or not is_small(body, ""):
            return None
        try:
            return checked(body, caller, self._settings)
        except EventError:
            return None

    async def _store(
        self, item: Json, event: AuditEvent, caller: Caller, scope: HTTPScope, receive: Receive, send: Send
    ) -> None:
        scope["path_template"] = PATH
        client = scope["client"]
        sent_by = sender(caller.id, client[0] if client else None)
        try:
            self._limits.count_events(caller.id, 1)
            stored = msgspec.json.encode(await store_one(self._queue, sent_by, item, event))
        except Exception as error:  # the response that the framework would give
            await answer_to(error, Request(scope))(scope, receive, send)
            return
        await answer(send, HTTP_201_CREATED, stored, {})


def _again(message: ReceiveMessage, receive: Receive) -> Receive:
    """A `receive` that returns this message first, and then the following ones."""
    first = [message]

    async def receive_again() -> ReceiveMessage:
        return first.pop() if first else await receive()

    return receive_again

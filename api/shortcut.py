"""One event by itself, the request that comes most, without the framework's way around."""

from collections.abc import Iterable

import msgspec
from litestar import Litestar, Request
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Receive, ReceiveMessage, Scope, Send

from api.auth import KnownKeys
from api.ingest import PATH, SCOPE, checked, store_one
from api.problems import answer_to
from api.writer import AuditWriter
from ops_pipeline.audit.event import AuditEvent, EventError

PARTICULAR = (b"content-encoding", b"idempotency-key")


class Shortcut:
    """An application that stores plain posts of one event by itself and hands all else to the framework.

    Plain is an event without a fault, as JSON on one line and in one piece, with a key that was looked up
    a moment ago. Nothing is refused here: whatever may be wrong goes on as it came, and the framework's
    route, which also describes this one, says why. Its way around takes longer than storing the event.
    """

    def __init__(self, app: Litestar) -> None:
        self._app: ASGIApp = app
        self._known_keys: KnownKeys = app.state.known_keys
        self._writer: AuditWriter = app.state.audit_writer
        self._details_max_bytes: int = app.state.details_max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP and scope["path"] == PATH and self._may_be_taken(scope):
            message = await receive()
            found = self._event(message)
            if found is not None:
                await self._store(*found, scope, receive, send)
                return
            receive = _again(message, receive)
        await self._app(scope, receive, send)

    def _may_be_taken(self, scope: HTTPScope) -> bool:
        if scope["method"] != "POST":
            return False
        key = _plain_key(scope["headers"])
        caller = self._known_keys.remembered(key) if key is not None else None
        return caller is not None and caller.may(SCOPE)

    def _event(self, message: ReceiveMessage) -> tuple[bytes, AuditEvent] | None:
        if message["type"] != "http.request" or message["more_body"]:
            return None
        body = message["body"].strip()
        if not body.startswith(b"{") or b"\n" in body:
            return None
        try:
            return body, checked(body, self._details_max_bytes)
        except EventError:
            return None

    async def _store(
        self, body: bytes, event: AuditEvent, scope: HTTPScope, receive: Receive, send: Send
    ) -> None:
        scope["path_template"] = PATH
        try:
            answer = msgspec.json.encode(await store_one(self._writer, body, event))
        except Exception as error:  # answered as the framework would
            await answer_to(error, Request(scope))(scope, receive, send)
            return
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 201, "headers": headers})
        await send({"type": "http.response.body", "body": answer, "more_body": False})


def _plain_key(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The key of a request with nothing particular about it."""
    key = None
    for name, value in headers:
        if name == b"authorization":
            scheme, _, given = value.decode("latin-1").partition(" ")
            if key is not None or scheme.lower() != "bearer":
                return None
            key = given.strip()
        elif name in PARTICULAR or (name == b"content-type" and value != b"application/json"):
            return None
    return key


def _again(message: ReceiveMessage, receive: Receive) -> Receive:
    """What receives that message first, and then what follows it."""
    first = [message]

    async def receive_again() -> ReceiveMessage:
        return first.pop() if first else await receive()

    return receive_again

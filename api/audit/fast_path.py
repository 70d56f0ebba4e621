"""Stores plain POSTs of one event, the most frequent request, without the framework's overhead."""

from collections.abc import Iterable

import msgspec
from litestar import Request
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Receive, ReceiveMessage, Scope, Send

from api.audit.body import MOST_BYTES, Json
from api.audit.checking import checked, is_small
from api.audit.ingest import IDEMPOTENCY_KEY, PATH, SCOPE, store_one
from api.audit.store import sender
from api.auth.caller import Caller
from api.auth.keys import bearer
from api.limits.released import USAGE
from api.problems import Problem, answer_to
from api.services import Services
from ops_pipeline.audit.event import AuditEvent, EventError
from ops_pipeline.serving import known_sender

PARTICULAR = (b"content-encoding", IDEMPOTENCY_KEY.lower().encode())


class FastPath:
    """An ASGI application that stores plain POSTs of one event itself and passes all else to the framework.

    Plain means: a valid and small event, as JSON on one line in one message, with a key looked up in the last
    2 seconds. Nothing is refused here: a request that may be invalid is passed on unchanged, and the
    framework's route refuses it with the reason. Both use the same code to check keys and events and to
    store them."""

    def __init__(self, app: ASGIApp, services: Services) -> None:
        self._app = app
        self._known_keys = services.known_keys
        self._queue = services.audit_queue
        self._limits = services.limits
        self._settings = services.settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (
            scope["type"] == ScopeType.HTTP
            and scope["path"] == PATH
            and not scope["query_string"]
            and (caller := self._plain_caller(scope)) is not None
        ):
            try:
                scope["state"][USAGE] = self._limits.begin_request(caller.id)
            except Problem as problem:
                scope["path_template"] = PATH
                await answer_to(problem, Request(scope))(scope, receive, send)
                return
            known_sender.tell(scope)
            message = await receive()
            if (plain := self._plain_event(message, caller)) is not None:
                await self._store(*plain, caller, scope, receive, send)
                return
            receive = _again(message, receive)
        await self._app(scope, receive, send)

    def _plain_caller(self, scope: HTTPScope) -> Caller | None:
        key = _plain_key(scope["headers"]) if scope["method"] == "POST" else None
        caller = self._known_keys.remembered(key) if key is not None else None
        return caller if caller is not None and caller.may(SCOPE) else None

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
            answer = msgspec.json.encode(await store_one(self._queue, sent_by, item, event))
        except Exception as error:  # the response that the framework would give
            await answer_to(error, Request(scope))(scope, receive, send)
            return
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 201, "headers": headers})
        await send({"type": "http.response.body", "body": answer, "more_body": False})


def _plain_key(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The key of a plain request; None when the request is not plain."""
    key = None
    for name, value in headers:
        if name == b"authorization":
            if key is not None or (key := bearer(value.decode("latin-1"))) is None:
                return None
        elif name in PARTICULAR or (name == b"content-type" and value != b"application/json"):
            return None
    return key


def _again(message: ReceiveMessage, receive: Receive) -> Receive:
    """A `receive` that returns this message first, and then the following ones."""
    first = [message]

    async def receive_again() -> ReceiveMessage:
        return first.pop() if first else await receive()

    return receive_again

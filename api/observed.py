"""Around every request, outside of everything: its id, its time, its line in the log."""

import re
import time
from collections.abc import Callable, Iterable
from uuid import uuid4

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from api.lifecycle import Lifecycle
from api.metrics import Metrics
from api.problems import slug

METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
QUIET = ("/health", "/metrics")
SANE = re.compile(r"[\w.-]{1,64}", re.ASCII)

log = structlog.get_logger()


class Observed:
    """An ASGI application with what it wraps measured and logged.

    It stands outside of the framework, so that what the framework itself refuses is counted too. No label
    takes a value that a client can make up: an unknown path is `unmatched`, an unknown method `other`.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, lifecycle: Lifecycle) -> None:
        self._app = app
        self._metrics = metrics
        self._lifecycle = lifecycle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope["headers"])
        status = 500

        async def send_noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                closing = [(b"connection", b"close")] if self._lifecycle.draining else []
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode()), *closing]
            await send(message)

        # Ids come from clients and may repeat.
        unique = f"{request_id} {id(scope)}"
        self._lifecycle.in_flight[unique] = (f"{scope['method']} {scope['path']}", time.monotonic())
        began = time.perf_counter()
        bound = structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            await self._app(scope, receive, send_noting)
        finally:
            del self._lifecycle.in_flight[unique]
            self._note(scope, status, time.perf_counter() - began)
            structlog.contextvars.reset_contextvars(**bound)

    def _note(self, scope: HTTPScope, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in METHODS else "other"
        route = scope.get("path_template") or "unmatched"
        self._metrics.note_request(method, route, status, seconds, slug(status) if status >= 400 else None)
        write: Callable[..., object] = log.debug if route.startswith(QUIET) and status < 400 else log.info
        write("request", method=method, route=route, status=status, ms=round(seconds * 1000, 3))


def _request_id(headers: Iterable[tuple[bytes, bytes]]) -> str:
    for name, given in headers:
        if name == b"x-request-id":
            text = given.decode("latin-1")
            return text if SANE.fullmatch(text) else uuid4().hex
    return uuid4().hex

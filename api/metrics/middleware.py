"""ASGI middleware that gives every request an id, measures it and logs it."""

import os
import re
import time
from collections.abc import Iterable

from litestar import Request
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, ReceiveMessage, Scope, Send

from api.metrics.registry import Metrics
from api.problems import Problem, answer_to, slug
from api.process import logs
from api.process.lifecycle import Lifecycle
from ops_pipeline.serving.protocol import REFUSED
from ops_pipeline.serving.violations import Violation

METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
QUIET = ("/health", "/metrics")
SANE = re.compile(r"[\w.-]{1,64}", re.ASCII)


class Middleware:
    """Measures and logs the requests of the wrapped ASGI application.

    It is outside of the framework, so that requests refused by the framework are counted too. No label takes
    a value that a client can choose: an unknown path is `unmatched`, an unknown method `other`.
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
        status, started = 500, False

        async def send_recording(message: Message) -> None:
            nonlocal status, started
            if message["type"] == "http.response.start":
                status, started = message["status"], True
                closing = [(b"connection", b"close")] if self._lifecycle.draining else []
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode()), *closing]
            await send(message)

        async def receive_unless_refused() -> ReceiveMessage:
            message = await receive()
            if started:
                return {"type": "http.disconnect"} if REFUSED in scope["state"] else message
            if REFUSED in scope["state"]:
                raise _problem(scope["state"][REFUSED])
            if message["type"] == "http.disconnect":
                raise Problem(
                    499, "The client disconnected before its request was complete. Nothing was stored."
                )
            return message

        # Clients choose request ids, so they may repeat.
        unique = f"{request_id} {id(scope)}"
        self._lifecycle.in_flight[unique] = (f"{scope['method']} {scope['path']}", time.monotonic())
        began = time.perf_counter()
        named = logs.request_id.set(request_id)
        try:
            if REFUSED in scope["state"]:
                raise _problem(scope["state"][REFUSED])
            await self._app(scope, receive_unless_refused, send_recording)
        except Problem as problem:
            await answer_to(problem, Request(scope))(scope, receive, send_recording)
        finally:
            del self._lifecycle.in_flight[unique]
            self._record(scope, request_id, status, time.perf_counter() - began)
            logs.request_id.reset(named)

    def _record(self, scope: HTTPScope, request_id: str, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in METHODS else "other"
        route = scope.get("path_template") or "unmatched"
        self._metrics.record_request(method, route, status, seconds, slug(status) if status >= 400 else None)
        # Requests refused while being read are logged together, in one line (connections.py).
        if REFUSED in scope["state"] or (status < 400 and route.startswith(QUIET)):
            return
        peer = scope["client"][0] if scope["client"] else None
        logs.log_request(logs.RequestLine(request_id, method, route, status, round(seconds * 1000, 3), peer))


def _problem(violation: Violation) -> Problem:
    return Problem(violation.status, violation.detail, headers=violation.headers)


def _request_id(headers: Iterable[tuple[bytes, bytes]]) -> str:
    for name, given in headers:
        if name == b"x-request-id":
            text = given.decode("latin-1")
            return text if SANE.fullmatch(text) else _new_id()
    return _new_id()


def _new_id() -> str:
    # As unlikely to repeat as a UUID, in a third of the time.
    return os.urandom(16).hex()

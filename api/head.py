"""Answers HEAD as GET, without the body."""

from typing import Any, cast

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

ALLOW = b"allow"


class HeadAsGet:
    """Wraps the application: a HEAD request is handled as a GET request, up to the head of its response.

    A stream ends there: its client has disconnected, as the application sees it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
        elif scope["method"] == "HEAD":
            await self._answer_head(scope, receive, send)
        else:
            await self._app(scope, receive, _naming_head(send))

    async def _answer_head(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.start":
                await named(message)
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        named = _naming_head(send)
        as_get = cast("Any", {**scope, "method": "GET"})
        try:
            await self._app(as_get, receive, send_head)
        finally:
            if "path_template" in as_get:
                scope["path_template"] = as_get["path_template"]


def _naming_head(send: Send) -> Send:
    """A `send` that adds HEAD to a header `Allow` that has GET."""

    async def send_naming(message: Message) -> None:
        if message["type"] == "http.response.start" and any(name == ALLOW for name, _ in message["headers"]):
            message["headers"] = [
                (name, value + b", HEAD" if name == ALLOW and b"GET" in value else value)
                for name, value in message["headers"]
            ]
        await send(message)

    return send_naming

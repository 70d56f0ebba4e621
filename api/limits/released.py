"""Counts a request of a key as ended, however it ended."""

from litestar.types import ASGIApp, Receive, Scope, Send

USAGE = "usage"
"""The key in a request's `state` of the Usage that counts the request."""


class Released:
    """Wraps the application: after each request that a key was admitted for, the key may send another one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        finally:
            if (usage := scope.get("state", {}).pop(USAGE, None)) is not None:
                usage.requests -= 1

"""A request that the sign-in middleware refuses, as a response."""

from collections.abc import Mapping

from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Receive, Send


class Refusal(Exception):  # noqa: N818 - not a fault of ours
    """The status and the reason, with what to do instead."""

    def __init__(self, status: int, reason: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.headers = {"Cache-Control": "no-store", **(headers or {})}

    async def answer(self, request: HTTPConnection, receive: Receive, send: Send) -> None:
        """Sends the response: as GraphQL's errors where GraphQL was asked, otherwise as text. A websocket is
        refused before it is accepted, which its client sees as a 403."""
        if request.scope["type"] == "websocket":
            await receive()  # websocket.connect
            await send({"type": "websocket.close", "code": 1008, "reason": self.reason[:120]})
            return
        response: Response
        if request.url.path == "/graphql":
            errors = {"data": None, "errors": [{"message": self.reason}]}
            response = JSONResponse(errors, self.status, self.headers)
        else:
            response = PlainTextResponse(f"{self.reason}\n", self.status, self.headers)
        await response(request.scope, receive, send)

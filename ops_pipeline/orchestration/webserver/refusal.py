"""A request that the sign-in middleware refuses, as a response."""

from collections.abc import Mapping

from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from ops_pipeline.serving.protocol import REFUSED
from ops_pipeline.serving.violations import Violation


class Refusal(Exception):  # noqa: N818 - not a fault of ours
    """The status and the reason, with what to do instead."""

    def __init__(self, status: int, reason: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.headers = {"Cache-Control": "no-store", **(headers or {})}

    @property
    def short(self) -> str:
        """The reason, cut off where that of a websocket's close must end: at 123 bytes."""
        return self.reason.encode()[:123].decode(errors="ignore")

    async def answer(self, request: HTTPConnection, receive: Receive, send: Send) -> None:
        """Sends the response: as GraphQL's errors where GraphQL was asked, otherwise as text. A websocket is
        refused before it is accepted, which its client sees as a 403."""
        if request.scope["type"] == "websocket":
            await receive()  # websocket.connect
            await send({"type": "websocket.close", "code": 1008, "reason": self.short})
            return
        response: Response
        if request.url.path == "/graphql":
            errors = {"data": None, "errors": [{"message": self.reason}]}
            response = JSONResponse(errors, self.status, self.headers)
        else:
            response = PlainTextResponse(f"{self.reason}\n", self.status, self.headers)
        await response(request.scope, receive, send)


def too_large(limit: str) -> Refusal:
    """The refusal of a GraphQL document that exceeds that limit."""
    return Refusal(
        413, f"The GraphQL document has more than {limit}. Nothing was done; ask for less at a time"
    )


def refuse_cut_off(scope: Scope) -> None:
    """Raises Refusal where the client has exceeded a limit of its connection with this request."""
    violation: Violation | None = scope.get("state", {}).get(REFUSED)
    if violation is not None:
        raise Refusal(violation.status, violation.detail, violation.headers)

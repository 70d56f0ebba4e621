"""What the routes for plain requests share (`fast_path`)."""

from collections.abc import Mapping
from typing import Protocol

from litestar.types import HTTPScope, Receive, Send

from api.auth.caller import Caller


class Plain(Protocol):
    """A route for its plain requests. `key_scope` is what a key must have."""

    @property
    def key_scope(self) -> str: ...

    async def handle(self, scope: HTTPScope, receive: Receive, send: Send, caller: Caller) -> Receive | None:
        """Answers a plain request. For any other one, returns the `receive` with which the framework can
        handle it from its beginning."""


async def answer(send: Send, status: int, body: bytes, headers: Mapping[str, str]) -> None:
    """Sends a response of JSON with these headers, as the framework sends it."""
    own = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    own += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": own})
    await send({"type": "http.response.body", "body": body, "more_body": False})

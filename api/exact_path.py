"""Answers 404 where a path is not written as its route is."""

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from api.problems import LONGEST_PATH, Problem


class ExactPath:
    """Wraps the application, which would take `//health/live/` and `/health%2Flive` for `/health/live`.

    A proxy in front that allows or forbids paths compares them as they are written, so each route has one.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP and _is_another_spelling(scope["path"], scope["raw_path"]):
            shown = scope["path"][:LONGEST_PATH]
            reason = "write a path without //, %2F and a slash at its end"
            raise Problem(404, f"The path {shown} does not exist; {reason}.")
        await self._app(scope, receive, send)


def _is_another_spelling(path: str, raw_path: bytes) -> bool:
    ends_with_slash = path.endswith("/") and path != "/"
    return "//" in path or ends_with_slash or b"%2f" in raw_path.partition(b"?")[0].lower()

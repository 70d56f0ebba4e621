"""The response of every list: `{success, data, count, next}`."""

from collections.abc import Callable
from typing import Any

import msgspec
from litestar import MediaType, Response


class Page(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A list of rows; `next` is the address of the next page."""

    success: bool
    count: int
    next: str | None


def from_database(json: str) -> Any:
    """JSON from PostgreSQL, passed through unchanged; the field's type describes it."""
    return msgspec.Raw(json.encode())


def page(
    kind: Callable[..., Any], data: Any, count: int, following: str | None = None, **more: Any
) -> Response[bytes]:
    """The response of that kind. `following`, the next page's address, is also in `Link` (RFC 8288)."""
    body = msgspec.json.encode(kind(success=True, data=data, count=count, next=following, **more))
    headers = {"Link": f'<{following}>; rel="next"'} if following else {}
    return Response(body, media_type=MediaType.JSON, headers=headers)

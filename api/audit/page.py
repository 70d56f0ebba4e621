"""The answer that every list has: `{success, data, count, next}`."""

from collections.abc import Callable
from typing import Any

import msgspec
from litestar import MediaType, Response


class Page(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A list of rows; `next` is the address of the page that follows."""

    success: bool
    count: int
    next: str | None


def from_database(json: str) -> Any:
    """What PostgreSQL has made JSON of, passed through as it is; the field's own type describes it."""
    return msgspec.Raw(json.encode())


def page(
    kind: Callable[..., Any], data: Any, count: int, following: str | None = None, **more: Any
) -> Response[bytes]:
    """The answer of that kind. `following`, the next page's address, is also in `Link` (RFC 8288)."""
    body = msgspec.json.encode(kind(success=True, data=data, count=count, next=following, **more))
    headers = {"Link": f'<{following}>; rel="next"'} if following else {}
    return Response(body, media_type=MediaType.JSON, headers=headers)

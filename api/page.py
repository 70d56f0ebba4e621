"""The answer that every list has: `{success, data, count, next}`."""

from typing import Any

import msgspec
from litestar import MediaType, Response


def page(data: str, count: int, following: str | None, **more: Any) -> Response[bytes]:
    """A page whose rows PostgreSQL has made JSON of already; they are passed through as they are.

    `following` is the address of the next page, also told in the header `Link` (RFC 8288); `more` are
    further members of the answer.
    """
    body = b'{"success":true,"data":%b,"count":%d,"next":%b%b}' % (
        data.encode(),
        count,
        msgspec.json.encode(following),
        b"".join(b',"%b":%b' % (name.encode(), msgspec.json.encode(value)) for name, value in more.items()),
    )
    headers = {"Link": f'<{following}>; rel="next"'} if following else {}
    return Response(body, media_type=MediaType.JSON, headers=headers)

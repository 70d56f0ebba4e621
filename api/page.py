"""The answer that every list has: `{success, data, count, next}`."""

import msgspec
from litestar import MediaType, Response


def page(data: str, count: int, following: str | None) -> Response[bytes]:
    """A page whose rows PostgreSQL has made JSON of already; they are passed through as they are."""
    body = b'{"success":true,"data":%b,"count":%d,"next":%b}' % (
        data.encode(),
        count,
        msgspec.json.encode(following),
    )
    return Response(body, media_type=MediaType.JSON)

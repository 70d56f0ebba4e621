"""The least that an API on this stack can do with a post: uvicorn, a decoded body, and a 201.

`python -m benchmarks.bare PORT`. It checks no key, validates and stores nothing, measures and logs nothing.
"""

import sys
from typing import Any

import msgspec
import uvicorn

ANSWER = b'{"success":true,"id":"00000000-0000-4000-8000-000000000000"}'
HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(ANSWER))]

decode = msgspec.json.Decoder().decode


async def app(_: Any, receive: Any, send: Any) -> None:
    """Answers every request."""
    body = b""
    more = True
    while more:
        message = await receive()
        body += message["body"]
        more = message["more_body"]
    decode(body)
    await send({"type": "http.response.start", "status": 201, "headers": HEADERS})
    await send({"type": "http.response.body", "body": ANSWER})


if __name__ == "__main__":
    uvicorn.run(
        app, port=int(sys.argv[1]), http="httptools", lifespan="off", access_log=False, log_level="warning"
    )

"""Reads what is posted, and passes on a request that has nothing but what was read.

Dagster parses a request again, by rules of its own. What it is given has one content type, no query string
where there is a body, and a body that was encoded here, so that no client can write one request that reads as
two.
"""

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from starlette.types import Message, Receive, Scope

from ops_pipeline.orchestration.webserver import document
from ops_pipeline.orchestration.webserver.document import Document
from ops_pipeline.orchestration.webserver.refusal import Refusal, refuse_cut_off

GRAPHQL = "/graphql"
MOST_BYTES = 1024 * 1024
"""The largest request of Dagster's pages is a launch, with the configuration of a run: a few KiB."""
OF_THE_BODY = {b"content-type", b"content-length", b"content-encoding", b"transfer-encoding"}


@dataclass(frozen=True, slots=True)
class Posted:
    """What was posted: the request to pass on, and its document."""

    scope: Scope
    receive: Receive
    document: Document


async def read(scope: Scope, receive: Receive) -> Posted:
    """Reads a request that posts GraphQL. Raises Refusal: 413 for a too large one, 400 for an invalid one."""
    body = await read_body(scope, receive, MOST_BYTES)
    # In a thread: it may take a second, and everyone else would wait.
    content, asked = await asyncio.to_thread(_graphql, body)
    return Posted({**_with_body(scope, content), "query_string": b""}, _again(content, receive), asked)


async def read_json(scope: Scope, receive: Receive) -> Any:
    """The JSON value that was posted. Raises Refusal as `read` does."""
    return await asyncio.to_thread(loaded, await read_body(scope, receive, MOST_BYTES))


async def read_body(scope: Scope, receive: Receive, most: int) -> bytes:
    """The whole body. Raises Refusal: 413 beyond so many bytes, 408 when they take too long, 400 when the
    request ends before its body."""
    pieces, size, more = list[bytes](), 0, True
    while more:
        message = await receive()
        refuse_cut_off(scope)
        if message["type"] != "http.request":
            raise Refusal(400, "The request ended before its body")
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > most:
            raise Refusal(413, f"The body has more than {most} bytes. Nothing was done")
        more = message.get("more_body", False)
    return b"".join(pieces)


def decode(content: Any) -> tuple[dict[str, Any], Document]:
    """The GraphQL request in this JSON value, with the names that Dagster reads and no others, and nothing
    else than what was judged; and its document. Raises Refusal."""
    if not isinstance(content, dict) or not isinstance(query := content.get("query"), str):
        raise Refusal(
            400, "Invalid GraphQL request. Nothing was done; send a JSON object with query and variables"
        )
    variables, name = content.get("variables") or {}, content.get("operationName") or None
    if isinstance(variables, str):
        variables = loaded(variables)
    if not isinstance(variables, dict) or not isinstance(name, str | None):
        raise Refusal(400, "variables must be an object, and operationName a string. Nothing was done")
    read = document.read(query, variables, name)
    return {"query": query, "variables": read.variables, "operationName": read.operation}, read


def loaded(text: str | bytes) -> Any:
    """The JSON value; it can be encoded again. Raises Refusal."""
    try:
        value = json.loads(text)
        json.dumps(value)
    except (ValueError, RecursionError):
        raise Refusal(400, "The request is not valid JSON. Nothing was done") from None
    return value


def _graphql(body: bytes) -> tuple[bytes, Document]:
    request, asked = decode(loaded(body))
    return json.dumps(request).encode(), asked


def _with_body(scope: Scope, body: bytes) -> Scope:
    return {**scope, "headers": [*_headers(scope["headers"]), (b"content-length", str(len(body)).encode())]}


def _headers(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    others = [(name, value) for name, value in headers if name not in OF_THE_BODY]
    return [*others, (b"content-type", b"application/json")]


def _again(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def receiving() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receiving

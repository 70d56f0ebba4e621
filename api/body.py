"""What a request brings: its bytes, inflated, and the events in them one by one."""

import asyncio
import re
import zlib
from collections.abc import Sequence

import msgspec

from api.problems import Problem

MOST_BYTES = 16 * 1024 * 1024
"""What a body may have, as it comes and as it is once inflated."""

NDJSON = ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/json-lines")

Json = bytes | msgspec.Raw


def inflated(body: bytes, encoding: str) -> bytes:
    """The body without its Content-Encoding. Raises Problem 400, 413 or 415."""
    match encoding.strip().lower():
        case "" | "identity":
            return body
        case "gzip" | "x-gzip":
            return _gunzip(body)
        case other:
            reason = f"{other!r} cannot be read; there is gzip"
            raise Problem(
                415, f"Content-Encoding: {reason}", [{"field": "Content-Encoding", "reason": reason}],
                headers={"Accept-Encoding": "gzip"},
            )  # fmt: skip


def _gunzip(body: bytes) -> bytes:
    read: list[bytes] = []
    left = MOST_BYTES
    while body.strip(b"\0"):  # a gzip file may have several members, and zeros to pad it
        member = zlib.decompressobj(wbits=31)
        try:
            read.append(member.decompress(body, left + 1))
        except zlib.error as error:
            raise unreadable(f"is not gzip: {error}") from None
        left -= len(read[-1])
        if left < 0:
            raise Problem(413, f"The body has more than {MOST_BYTES} bytes once it is inflated")
        if not member.eof:
            raise unreadable("is not gzip: it ends too early")
        body = member.unused_data
    return b"".join(read)


async def items(body: bytes, content_type: str) -> Sequence[Json] | None:
    """The JSON of each event of a batch; None when the body is one event by itself. Raises Problem 400.

    A batch is an array, or a line for each event: by its content type, or because every line of several
    looks like an object.
    """
    lines = content_type.partition(";")[0].strip().lower() in NDJSON
    if body.startswith(b"[") and not lines:
        try:
            return msgspec.json.decode(body, type=list[msgspec.Raw])
        except (msgspec.MsgspecError, RecursionError) as error:
            # One bad item is no reason to refuse the others, if they can be told apart at all.
            return await asyncio.to_thread(_split, body, str(error))
    if not lines and b"\n" not in body:
        return None
    found = [line for line in map(bytes.strip, body.split(b"\n")) if line]
    if not lines and not (len(found) > 1 and all(map(_looks_like_an_object, found))):
        return None
    if not found:
        raise unreadable("holds no event")
    return found


# A string that does not end takes the rest: looking for others within it would take for ever.
TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[][{},]', re.DOTALL)


def _split(array: bytes, error: str) -> list[bytes]:
    """The items of an array that msgspec refuses to read as a whole, by its brackets and commas."""
    found: list[bytes] = []
    depth, begin = 0, 1
    for token in TOKEN.finditer(array):
        match token[0]:
            case b"[" | b"{":
                depth += 1
            case b"]" | b"}":
                depth -= 1
            case b"," if depth == 1:
                found.append(array[begin : token.start()])
                begin = token.end()
        if depth == 0:
            if token[0] != b"]" or array[token.end() :].strip():
                break
            return [*found, array[begin : token.start()]]
    raise unreadable(f"is not valid JSON: {error}")


def _looks_like_an_object(line: bytes) -> bool:
    return line.startswith(b"{") and line.endswith(b"}")


def unreadable(reason: str) -> Problem:
    """The problem that the body as a whole has."""
    return Problem(400, f"body: {reason}", [{"field": "body", "reason": reason}])

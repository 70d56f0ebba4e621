"""Reads the body of a post: inflates it and splits it into events."""

import asyncio
import re
import zlib
from collections.abc import Sequence

import msgspec

from api.audit.queue import MOST_EVENTS
from api.problems import Problem, invalid

MOST_BYTES = 16 * 1024 * 1024
"""What a body may have, as it comes and as it is once inflated."""

MOST_MEMBERS = 1_000
"""Of a gzip body: each costs time, and the smallest has 20 bytes."""
PIECE = 64 * 1024
"""Bytes inflated at once: at the end of a member, the rest of them is copied."""

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
            raise invalid("Content-Encoding", reason, 415, headers={"Accept-Encoding": "gzip"})


def _gunzip(body: bytes) -> bytes:
    inflated_pieces: list[bytes] = []
    left = MOST_BYTES
    members = 0
    member = None
    for start in range(0, len(body), PIECE):
        piece = body[start : start + PIECE]
        # A gzip file may have several members, with zeros to pad it between and behind them.
        while piece and (member is not None or (piece := piece.lstrip(b"\0"))):
            if member is None:
                members += 1
                member = zlib.decompressobj(wbits=31)
            if members > MOST_MEMBERS:
                raise invalid("body", f"has more than {MOST_MEMBERS} gzip members; compress it as a whole")
            try:
                inflated_pieces.append(member.decompress(piece, left + 1))
            except zlib.error as error:
                raise invalid("body", f"is not gzip: {error}") from None
            left -= len(inflated_pieces[-1])
            if left < 0:
                raise Problem(413, f"The body has more than {MOST_BYTES} bytes once it is inflated")
            piece = member.unused_data
            if member.eof:
                member = None
    if member is not None:
        raise invalid("body", "is not gzip: it ends too early")
    return b"".join(inflated_pieces)


async def events_of(body: bytes, content_type: str) -> Sequence[Json] | None:
    """The JSON of each event of a batch; None when the body is one event by itself. Raises Problem 400.

    A batch is an array, or a line for each event: by its content type, or because every line of several
    looks like an object. Raises Problem 413 for more events than can be stored together.
    """
    events = await _events_of(body, content_type)
    if events is not None and len(events) > MOST_EVENTS:
        raise _too_many()
    return events


async def _events_of(body: bytes, content_type: str) -> Sequence[Json] | None:
    by_line = content_type.partition(";")[0].strip().lower() in NDJSON
    if body.startswith(b"[") and not by_line:
        try:
            return msgspec.json.decode(body, type=list[msgspec.Raw])
        except (msgspec.MsgspecError, RecursionError) as error:
            # One bad item is no reason to refuse the others, if their bounds can be found at all.
            return await asyncio.to_thread(_split, body, str(error))
    if not by_line and b"\n" not in body:
        return None
    if body.count(b"\n") >= MOST_EVENTS:
        raise _too_many()
    lines = [line for line in map(bytes.strip, body.split(b"\n")) if line]
    if not by_line and not (len(lines) > 1 and all(map(_looks_like_an_object, lines))):
        return None
    if not lines:
        raise invalid("body", "holds no event")
    return lines


def _too_many() -> Problem:
    return Problem(413, f"The body has more than {MOST_EVENTS} events; send fewer at a time")


# A string that does not end takes the rest: looking for others within it would take for ever.
TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[][{},]', re.DOTALL)


def _split(array: bytes, error: str) -> list[bytes]:
    """The items of an array that msgspec refuses to read as a whole, by its brackets and commas."""
    items: list[bytes] = []
    depth, begin = 0, 1
    for token in TOKEN.finditer(array):
        match token[0]:
            case b"[" | b"{":
                depth += 1
            case b"]" | b"}":
                depth -= 1
            case b"," if depth == 1:
                items.append(array[begin : token.start()])
                begin = token.end()
        if depth == 0:
            if token[0] != b"]" or array[token.end() :].strip():
                break
            return [*items, array[begin : token.start()]]
    raise invalid("body", f"is not valid JSON: {error}")


def _looks_like_an_object(line: bytes) -> bool:
    return line.startswith(b"{") and line.endswith(b"}")

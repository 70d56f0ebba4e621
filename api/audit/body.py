"""Reads the body of a POST: decompresses it and splits it into events."""

import asyncio
import re
import zlib
from collections.abc import Sequence

import msgspec

from api.audit.queue import MOST_EVENTS
from api.problems import Problem, invalid

MOST_BYTES = 16 * 1024 * 1024
"""The largest body in bytes, as sent and after decompression."""

MOST_MEMBERS = 1_000
"""The most members of a gzip body: each costs time, and the smallest has 20 bytes."""
PIECE = 64 * 1024
"""Bytes decompressed at a time: at the end of a member, the rest of them is copied."""

NDJSON = ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/json-lines")

Json = bytes | msgspec.Raw


def inflated(body: bytes, encoding: str) -> bytes:
    """The decompressed body. Raises Problem 400, 413 or 415."""
    match encoding.strip().lower():
        case "" | "identity":
            return body
        case "gzip" | "x-gzip":
            return _gunzip(body)
        case other:
            reason = f"{other!r} is not supported; use gzip"
            raise invalid("Content-Encoding", reason, 415, headers={"Accept-Encoding": "gzip"})


def _gunzip(body: bytes) -> bytes:
    inflated_pieces: list[bytes] = []
    left = MOST_BYTES
    members = 0
    member = None
    for start in range(0, len(body), PIECE):
        piece = body[start : start + PIECE]
        # A gzip file may have several members, with zero padding between and after them.
        while piece and (member is not None or (piece := piece.lstrip(b"\0"))):
            if member is None:
                members += 1
                member = zlib.decompressobj(wbits=31)
            if members > MOST_MEMBERS:
                raise invalid("body", f"has more than {MOST_MEMBERS} gzip members; compress it as one")
            try:
                inflated_pieces.append(member.decompress(piece, left + 1))
            except zlib.error as error:
                raise invalid("body", f"is not gzip: {error}") from None
            left -= len(inflated_pieces[-1])
            if left < 0:
                raise Problem(
                    413,
                    f"The body has more than {MOST_BYTES:,} bytes after decompression. Nothing was stored; "
                    "send fewer events at a time.",
                )
            piece = member.unused_data
            if member.eof:
                member = None
    if member is not None:
        raise invalid("body", "is not gzip: unexpected end of data")
    return b"".join(inflated_pieces)


async def events_of(body: bytes, content_type: str) -> Sequence[Json] | None:
    """The JSON of each event of a batch; None when the body is a single event. Raises Problem 400.

    A batch is an array, or one event per line. The latter is recognized by its content type, or because
    there are several lines that all look like objects. Raises Problem 413 for too many events.
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
            # One invalid item must not make the others fail, if their bounds can be found.
            return await asyncio.to_thread(_split, body, str(error))
    if not by_line and b"\n" not in body:
        return None
    if body.count(b"\n") >= MOST_EVENTS:
        raise _too_many()
    lines = [line for line in map(bytes.strip, body.split(b"\n")) if line]
    if not by_line and not (len(lines) > 1 and all(map(_looks_like_an_object, lines))):
        return None
    if not lines:
        raise invalid("body", "has no event")
    return lines


def _too_many() -> Problem:
    return Problem(
        413,
        f"The body has more than {MOST_EVENTS:,} events. Nothing was stored; send fewer events at a time.",
    )


# An unterminated string matches the rest: searching it again and again would take quadratic time.
TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[][{},]', re.DOTALL)


def _split(array: bytes, error: str) -> list[bytes]:
    """The items of an array that msgspec cannot parse as a whole, split by brackets and commas."""
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

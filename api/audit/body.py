"""Reads the body of a POST: decompresses it and splits it into events."""

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

import msgspec

from api.problems import Problem, invalid
from ops_pipeline.audit.gunzip import GzipError, TooManyMembersError, decompressed

MOST_BYTES = 16 * 1024 * 1024
"""The largest body in bytes, as sent and after decompression."""
MOST_ITEMS = 10_000
"""The most events of a body: each is checked and answered by itself."""
MOST_MEMBERS = 1_000
"""The most members of a gzip body: each costs time, and the smallest has 20 bytes."""
MOST_VALUES = 2_000_000
"""The most commas of an array: 16 MiB have room for eight million values, which msgspec reads in one go."""
MOST_TOKENS = 1_000_000
"""How much of an array that is not valid JSON is searched for the bounds of its items, in Python."""

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
    pieces: list[bytes] = []
    left = MOST_BYTES
    try:
        for piece in decompressed(body, MOST_MEMBERS):
            pieces.append(piece)
            left -= len(piece)
            if left < 0:
                raise _too_large(f"{MOST_BYTES:,} bytes after decompression")
    except TooManyMembersError:
        raise invalid("body", f"has more than {MOST_MEMBERS} gzip members; compress it as one") from None
    except GzipError as error:
        raise invalid("body", f"is not gzip: {error}") from None
    return b"".join(pieces)


def events_of(body: bytes, content_type: str) -> Sequence[Json] | None:
    """The JSON of each event of a batch; None when the body is a single event.

    A batch is an array, or one event per line. The latter is recognized by its content type, or because
    there are several lines that all look like objects. Raises Problem 400; 413 for too many events, before
    more than 10,000 of them were read.
    """
    by_line = content_type.partition(";")[0].strip().lower() in NDJSON
    if body.startswith(b"[") and not by_line:
        return _items(body)
    if not by_line and b"\n" not in body:
        return None
    if body.count(b"\n") >= MOST_ITEMS:
        raise _too_large(f"{MOST_ITEMS:,} events")
    lines = [line for line in map(bytes.strip, body.split(b"\n")) if line]
    if not by_line and not (len(lines) > 1 and all(map(_looks_like_an_object, lines))):
        return None
    if not lines:
        raise invalid("body", "has no event")
    return lines


def _items(array: bytes) -> Sequence[Json]:
    values = array.count(b",") + 1
    if values > MOST_VALUES:
        raise _too_large(f"{MOST_VALUES:,} values")
    try:
        if values <= MOST_ITEMS:
            return msgspec.json.decode(array, type=list[msgspec.Raw])
        items = msgspec.structs.astuple(_few_items().decode(array))
        return [item for item in items if item is not msgspec.UNSET]
    except msgspec.ValidationError:  # any item would do, so there are too many
        raise _too_large(f"{MOST_ITEMS:,} events") from None
    except (msgspec.MsgspecError, RecursionError) as error:
        # One invalid item must not make the others fail, if their bounds can be found.
        return _split(array, str(error))


@cache
def _few_items() -> msgspec.json.Decoder[Any]:
    """Decodes an array, and fails at item 10,001: a list is only limited after all its items were decoded."""
    fields = [(f"_{place}", msgspec.Raw | msgspec.UnsetType, msgspec.UNSET) for place in range(MOST_ITEMS)]
    return msgspec.json.Decoder(
        msgspec.defstruct("FewItems", fields, array_like=True, forbid_unknown_fields=True)
    )


# An unterminated string matches the rest: searching it again and again would take quadratic time.
TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[][{},]', re.DOTALL)


def _split(array: bytes, error: str) -> list[bytes]:
    """The items of an array that msgspec cannot parse as a whole, split by brackets and commas."""
    items: list[bytes] = []
    depth, begin = 0, 1
    for number, token in enumerate(TOKEN.finditer(array)):
        match token[0]:
            case b"[" | b"{":
                depth += 1
            case b"]" | b"}":
                depth -= 1
            case b"," if depth == 1:
                items.append(array[begin : token.start()])
                begin = token.end()
                if len(items) >= MOST_ITEMS:
                    raise _too_large(f"{MOST_ITEMS:,} events")
        if depth == 0:
            if token[0] != b"]" or array[token.end() :].strip():
                break
            return [*items, array[begin : token.start()]]
        if number >= MOST_TOKENS:
            break
    raise invalid("body", f"is not valid JSON: {error}")


def _too_large(limit: str) -> Problem:
    detail = f"The body has more than {limit}. Nothing was stored; send fewer events at a time."
    return Problem(413, detail)


def _looks_like_an_object(line: bytes) -> bool:
    return line.startswith(b"{") and line.endswith(b"}")

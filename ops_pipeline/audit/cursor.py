"""A place in a list of events, as a token that a client can hand back but not make up."""

import base64
import binascii
import hmac
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
VERSION = 1
NO_START = -(2**63)
BODY = struct.Struct(">Bq16sq8s")
SIGNATURE_BYTES = 16
STRANGE = "is none that this API has given out; send it back as it came"


class CursorError(ValueError):
    """A cursor that is not one of ours, or belongs to another question; the message says which."""


@dataclass(frozen=True, slots=True)
class Position:
    """The event after which a list goes on, newest first; the list holds every event that is older.

    `start` is where the list ends when its start was said relative to now: it stays where it was when
    the list was begun, or its end would move from page to page.
    """

    created_at: datetime
    id: UUID
    start: datetime | None = None


class Cursors:
    """Signs positions and reads them back, with a secret that every process of the API shares.

    A cursor holds a position and a digest of the question it belongs to, signed with HMAC-SHA-256 cut to
    128 bits (RFC 2104, section 5); it tells a client nothing but the time and id of an event it has seen.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def write(self, position: Position, question: str) -> str:
        """The cursor for that place among the answers to that question."""
        start = NO_START if position.start is None else _microseconds(position.start)
        body = BODY.pack(
            VERSION, _microseconds(position.created_at), position.id.bytes, start, self._mark(question)
        )
        return self.seal(body)

    def read(self, cursor: str, question: str) -> Position:
        """The place that a cursor stands for. Raises CursorError."""
        body = self.unseal(cursor)
        if len(body) != BODY.size:
            raise CursorError(STRANGE)
        _, moment, event_id, start, mark = BODY.unpack(body)
        if not hmac.compare_digest(mark, self._mark(question)):
            raise CursorError(
                "belongs to other filters; repeat the filters it came with, or begin anew without a cursor"
            )
        return Position(_moment(moment), UUID(bytes=event_id), None if start == NO_START else _moment(start))

    def seal(self, content: bytes) -> str:
        """The content as a token, signed, in characters that an address may hold."""
        return base64.urlsafe_b64encode(content + self._signature(content)).rstrip(b"=").decode()

    def unseal(self, token: str) -> bytes:
        """The content of a token that was sealed here. Raises CursorError for any other."""
        try:
            padded = token.encode("ascii") + b"=" * (-len(token) % 4)
            data = base64.b64decode(padded, altchars=b"-_", validate=True)
        except (binascii.Error, UnicodeEncodeError):
            raise CursorError(STRANGE) from None
        content, signature = data[:-SIGNATURE_BYTES], data[-SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, self._signature(content)):
            raise CursorError(STRANGE)
        return content

    def _signature(self, content: bytes) -> bytes:
        return hmac.digest(self._secret, b"cursor\0" + content, "sha256")[:SIGNATURE_BYTES]

    def _mark(self, question: str) -> bytes:
        return hmac.digest(self._secret, b"question\0" + question.encode(), "sha256")[:8]


def _microseconds(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def _moment(microseconds: int) -> datetime:
    return EPOCH + timedelta(microseconds=microseconds)

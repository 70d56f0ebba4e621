"""Cursors: positions in a list of events as signed tokens, which clients cannot forge."""

import base64
import binascii
import hmac
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from uuid import UUID

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
VERSION = 1
NO_START = -(2**63)
BODY = struct.Struct(">Bq16sq8s")
SIGNATURE_BYTES = 16
STRANGE = "is not a cursor of this API; send it unchanged"


class CursorError(ValueError):
    """A cursor that is not ours, or belongs to another query; the message says which."""


@dataclass(frozen=True, slots=True)
class Position:
    """The event after which a list continues, newest first, with the older events.

    `start` is the list's start date if that was relative to now. It is fixed at the first page; otherwise the
    end of the list would move from page to page.
    """

    created_at: datetime
    id: UUID
    start: datetime | None = None


class Cursors:
    """Signs and reads positions, with a secret that all processes of the API share.

    A cursor has a position and a digest of its query, signed with HMAC-SHA-256 truncated to 128 bits (RFC
    2104, section 5). It only contains the time and id of an event that the client has seen.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._mark = lru_cache(maxsize=256)(self._digest)  # the same queries are asked again and again

    def write(self, position: Position, question: str) -> str:
        """The cursor for that position in the results of that query."""
        start = NO_START if position.start is None else _microseconds(position.start)
        body = BODY.pack(
            VERSION, _microseconds(position.created_at), position.id.bytes, start, self._mark(question)
        )
        return self.seal(body)

    def read(self, cursor: str, question: str) -> Position:
        """The position of a cursor. Raises CursorError."""
        body = self.unseal(cursor)
        if len(body) != BODY.size:
            raise CursorError(STRANGE)
        _, moment, event_id, start, mark = BODY.unpack(body)
        if not hmac.compare_digest(mark, self._mark(question)):
            raise CursorError(
                "belongs to other filters; repeat the filters of the first page, or start without a cursor"
            )
        return Position(_moment(moment), UUID(bytes=event_id), None if start == NO_START else _moment(start))

    def seal(self, content: bytes) -> str:
        """The content as a signed token, in characters allowed in a URL."""
        return base64.urlsafe_b64encode(content + self._signature(content)).rstrip(b"=").decode()

    def unseal(self, token: str) -> bytes:
        """The content of a token made by `seal`. Raises CursorError for any other."""
        try:
            padded = token.encode("ascii") + b"=" * (-len(token) % 4)
            data = base64.b64decode(padded, altchars=b"-_", validate=True)
        except (binascii.Error, UnicodeEncodeError):
            raise CursorError(STRANGE) from None
        content, signature = data[:-SIGNATURE_BYTES], data[-SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, self._signature(content)):
            raise CursorError(STRANGE)
        return content

    def sign(self, purpose: bytes, content: bytes) -> bytes:
        """The signature of the content, which is valid for that purpose only."""
        return hmac.digest(self._secret, purpose + b"\0" + content, "sha256")

    def _signature(self, content: bytes) -> bytes:
        return self.sign(b"cursor", content)[:SIGNATURE_BYTES]

    def _digest(self, question: str) -> bytes:
        return self.sign(b"question", question.encode())[:8]


def _microseconds(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def _moment(microseconds: int) -> datetime:
    return EPOCH + timedelta(microseconds=microseconds)

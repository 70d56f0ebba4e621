"""Tokens for the live tail: short-lived, and good for nothing else.

A browser's EventSource cannot send a header, so its credential is in the URL, where proxies may log it.
"""

import base64
import binascii
import hmac
import struct
import time
from collections.abc import Awaitable, Callable
from uuid import UUID

from ops_pipeline.audit.cursor import Cursors

PARAMETER = "token"
"""The name of the query parameter."""
VALID_SECONDS = 300
PREFIX = "ops_tail_"
CONTENT = struct.Struct(">16sq")
PURPOSE = b"tail token"


class TailTokens:
    """Makes and reads tokens: the id of a key and an expiry, signed with HMAC-SHA-256 (RFC 2104).

    Nothing is stored, so that every process of the API reads the tokens of the others. A token only names its
    key: whether the key is still valid is for the reader to ask.
    """

    def __init__(self, signing: Callable[[], Awaitable[Cursors]]) -> None:
        self._signing = signing

    async def write(self, key_id: UUID) -> tuple[str, int]:
        """A token of that key, and the time of its expiry in seconds since the epoch. Raises psycopg.Error or
        PoolTimeout."""
        expires = int(time.time()) + VALID_SECONDS
        content = CONTENT.pack(key_id.bytes, expires)
        signed = content + (await self._signing()).sign(PURPOSE, content)
        return PREFIX + base64.urlsafe_b64encode(signed).rstrip(b"=").decode(), expires

    async def key_of(self, token: str) -> UUID | None:
        """The id of the key whose token it is; None for one that was forged or has expired. Raises
        psycopg.Error or PoolTimeout."""
        text = token.removeprefix(PREFIX)
        try:
            signed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        content, signature = signed[: CONTENT.size], signed[CONTENT.size :]
        if not hmac.compare_digest(signature, (await self._signing()).sign(PURPOSE, content)):
            return None
        key_id, expires = CONTENT.unpack(content)
        return UUID(bytes=key_id) if time.time() < expires else None

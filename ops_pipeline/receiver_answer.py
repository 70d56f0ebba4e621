"""Quotes what a receiver answered, unless that would show a secret of the request."""

import html
import re
from urllib.parse import unquote

LONGEST_ANSWER = 200
SHORTEST_SECRET = 4
LONG_PART = 8
"""A receiver may shorten what it quotes; so many characters in a row are a part of the secret."""


def quoted(text: str, url: str, *secrets: str) -> str:
    """`: ` and the text, or nothing if it contains a part of a secret or of what follows the URL's host, in
    whatever encoding or case."""
    decoded = html.unescape(unquote(text)).casefold()
    hidden = _parts(unquote(url).partition("://")[2].partition("/")[2].casefold())
    for secret in secrets:
        hidden |= _parts(secret.casefold())
    if not text.strip() or any(part in decoded for part in hidden):
        return ""
    return f": {text.strip()[:LONGEST_ANSWER]}"


def _parts(secret: str) -> set[str]:
    """What must not be shown: each piece of the secret, and of a long one each part of it."""
    pieces = [piece for piece in re.split(r"[/?&=#\s]", secret) if len(piece) >= SHORTEST_SECRET]
    return {
        piece[start : start + LONG_PART]
        for piece in pieces
        for start in range(max(1, len(piece) - LONG_PART + 1))
    }

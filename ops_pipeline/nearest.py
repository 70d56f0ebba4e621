"""Suggests an existing name for one that does not exist."""

import difflib
from collections.abc import Sequence


def nearest(wrong: str, right: Sequence[str]) -> str:
    """`did you mean "sessions"? Available: memories, sessions`, `available: …`, or `none exists`: the end of
    a sentence, after a semicolon."""
    if not right:
        return "none exists"
    close = difflib.get_close_matches(wrong, right, n=1)
    available = ", ".join(right)
    return f'did you mean "{close[0]}"? Available: {available}' if close else f"available: {available}"

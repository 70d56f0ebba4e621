"""Suggests an existing name for one that does not exist."""

import difflib
from collections.abc import Sequence


def nearest(wrong: str, right: Sequence[str]) -> str:
    """`did you mean "sessions"? Available: memories, sessions`, or `none exists`"""
    if not right:
        return "none exists"
    close = difflib.get_close_matches(wrong, right, n=1)
    meant = f'did you mean "{close[0]}"? ' if close else ""
    return f"{meant}Available: {', '.join(right)}"

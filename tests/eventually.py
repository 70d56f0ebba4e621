"""Waits for the effect of another process, session or thread."""

import time
from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")


def eventually(
    condition: Callable[[], Answer | None], *, seconds: float = 60, otherwise: Callable[[], str] | None = None
) -> Answer:
    """Returns the condition's first true value.

    Raises AssertionError after `seconds` without one, with the last answer and what `otherwise` says.
    The time is a limit for a hanging test, never a claim: a loaded machine may take most of it.
    """
    deadline = time.monotonic() + seconds
    pause = 0.002
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"still {answer!r} after {seconds:g} s\n{otherwise() if otherwise else ''}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)
    return answer

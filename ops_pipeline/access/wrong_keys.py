"""Limits how many wrong keys an address may try: each costs a query."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

MOST_A_MINUTE = 60
MOST_ADDRESSES = 10_000
"""How many addresses are counted a minute; all others share one count."""
MINUTE = 60.0
LOOK_UP_SECONDS = 1.0
"""After how long a client tries again, of which so many keys are being looked up."""


class WrongKeys:
    """Counts the wrong keys of each address in this minute, and those that are being looked up: any of them
    may be wrong, and many may arrive before the first answer."""

    def __init__(self) -> None:
        self._counts: Counter[str | None] = Counter()
        self._looked_up: Counter[str | None] = Counter()
        self._minute_ends = 0.0

    def count(self, address: str | None) -> None:
        """A wrong key came from that address."""
        self._begin_minute_if_due()
        self._counts[self._counted_as(address)] += 1

    @contextmanager
    def looking_up(self, address: str | None) -> Iterator[None]:
        """A key of that address is looked up during the block."""
        self._looked_up[address] += 1
        try:
            yield
        finally:
            self._looked_up[address] -= 1
            if not self._looked_up[address]:
                del self._looked_up[address]

    def seconds_to_wait(self, address: str | None) -> float | None:
        """How long no unknown key of that address is looked up; None when the next one is."""
        self._begin_minute_if_due()
        wrong = self._counts[self._counted_as(address)]
        if wrong >= MOST_A_MINUTE:
            return self._minute_ends - time.monotonic()
        return LOOK_UP_SECONDS if wrong + self._looked_up[address] >= MOST_A_MINUTE else None

    def _counted_as(self, address: str | None) -> str | None:
        return address if address in self._counts or len(self._counts) < MOST_ADDRESSES else None

    def _begin_minute_if_due(self) -> None:
        now = time.monotonic()
        if now >= self._minute_ends:
            self._counts.clear()
            self._minute_ends = now + MINUTE

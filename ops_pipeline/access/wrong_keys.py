"""Limits how many wrong keys an address may try: each costs a query."""

import time
from collections import Counter

MOST_A_MINUTE = 60
MOST_ADDRESSES = 10_000
"""How many addresses are counted a minute; all others share one count."""
MINUTE = 60.0


class WrongKeys:
    """Counts the wrong keys of each address in this minute."""

    def __init__(self) -> None:
        self._counts: Counter[str | None] = Counter()
        self._minute_ends = 0.0

    def count(self, address: str | None) -> None:
        """A wrong key came from that address."""
        self._begin_minute_if_due()
        self._counts[self._counted_as(address)] += 1

    def seconds_to_wait(self, address: str | None) -> float | None:
        """How long no unknown key of that address is looked up; None when the next one is."""
        self._begin_minute_if_due()
        if self._counts[self._counted_as(address)] < MOST_A_MINUTE:
            return None
        return self._minute_ends - time.monotonic()

    def _counted_as(self, address: str | None) -> str | None:
        return address if address in self._counts or len(self._counts) < MOST_ADDRESSES else None

    def _begin_minute_if_due(self) -> None:
        now = time.monotonic()
        if now >= self._minute_ends:
            self._counts.clear()
            self._minute_ends = now + MINUTE

"""What one key has in use now."""

import time
from dataclasses import dataclass, field

from ops_pipeline.serving.gate import Gate

MOST_READS = 5
"""Statements at a time, of 10 connections for short reads and 10 for pages."""
MOST_WIDE_READS = 2
"""Those among them that open most partitions, of 4 (`wide`)."""
MOST_WAITING = 100
WAIT_SECONDS = 5.0
BODY_WAIT_SECONDS = 8.0
"""As long as events wait for their commit."""
MINUTE = 60.0


@dataclass(slots=True)
class Usage:
    """The counts of one key. `requests` are those in flight, `body_bytes` those of their bodies.

    `bodies`: one large body at a time is decompressed, split and checked.
    """

    requests: int = 0
    exports: int = 0
    tails: int = 0
    body_bytes: int = 0
    reads: Gate = field(default_factory=lambda: Gate(MOST_READS, MOST_WAITING, WAIT_SECONDS))
    wide: Gate = field(default_factory=lambda: Gate(MOST_WIDE_READS, MOST_WAITING, WAIT_SECONDS))
    bodies: Gate = field(default_factory=lambda: Gate(1, MOST_WAITING, BODY_WAIT_SECONDS))
    _events: int = 0
    _minute_ends: float = 0.0

    def count_events(self, events: int, most: int) -> float | None:
        """Counts events; or counts none, and returns the seconds until more are allowed. The first request
        of a minute is always allowed: no other time would be better for it."""
        now = time.monotonic()
        if now >= self._minute_ends:
            self._minute_ends, self._events = now + MINUTE, 0
        if self._events and self._events + events > most:
            return self._minute_ends - now
        self._events += events
        return None

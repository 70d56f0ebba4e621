"""Notices, between two steps of a worker, that its database was paused."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from ops_pipeline.pauses import pauses
from ops_pipeline.postgres.connection import Connection

LOOK_EVERY_SECONDS = 0.5
"""A pause is noticed within this time and the current batch; looking takes less than a millisecond."""


@dataclass(slots=True)
class PauseWatch:
    """What a worker asks between batches. `database`: its name in policies.yaml, for the message.

    `seen`: the reason to stop, once one was found; kept even if the pause ends meanwhile.
    """

    connection: Connection
    database: str | None = None
    clock: Callable[[], float] = time.monotonic
    seen: str | None = None
    _looked: float = float("-inf")

    def reason(self) -> str | None:
        """Why the worker has to stop, or None. Call it outside of a transaction."""
        if self.seen is None and self.clock() - self._looked >= LOOK_EVERY_SECONDS:
            pause = pauses.active(self.connection)
            self.seen = None if pause is None else pause.in_words(self.database)
            self._looked = self.clock()
        return self.seen

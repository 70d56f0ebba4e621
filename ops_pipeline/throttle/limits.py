"""Pauses between batches while the server is busier than the policy's throttle limits allow."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import sql
from ops_pipeline.policies.model import ThrottleLimits
from ops_pipeline.postgres.connection import Connection, row

LOOK_EVERY_SECONDS = 0.25
"""The load is read at most this often; reading it takes about a millisecond."""
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0
PATIENCE_SECONDS = 3600.0
"""After this long above the limits the run ends as `stopped`; the next run continues."""


@dataclass(frozen=True, slots=True)
class ServerLoad:
    """The server's load from other sessions. `wal_bytes`: all WAL it has ever written."""

    replica_lag_seconds: float
    lock_queue: int
    active_sessions: int
    wal_bytes: int


@dataclass(slots=True)
class Pause:
    """How often and how long a run paused for one reason."""

    count: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class Throttle:
    """Lets a run continue only while the database is within the policy's limits.

    `pauses` counts every pause by its reason: replica_lag, lock_queue, active_sessions, wal_rate,
    pause_file.
    """

    limits: ThrottleLimits
    pause_file: Path
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    pauses: dict[str, Pause] = field(default_factory=dict)
    _looked: float = float("-inf")
    _wal: tuple[float, int] | None = None

    def wait(self, connection: Connection, stop: Callable[[], str | None]) -> str | None:
        """Sleeps until the run may continue. Returns None then, or why it should end."""
        if self.clock() - self._looked < LOOK_EVERY_SECONDS:
            return None
        began, pause = self.clock(), FIRST_PAUSE_SECONDS
        while (reason := self._reason(connection)) is not None:
            if (stopped := stop()) is not None:
                return stopped
            if self.clock() - began > PATIENCE_SECONDS:
                return f"throttled for an hour because of {reason}; the next run continues from here"
            self._pause(reason, pause)
            pause = min(LONGEST_PAUSE_SECONDS, pause * 2)
        self._looked = self.clock()
        return None

    @property
    def paused_seconds(self) -> float:
        """The seconds of all pauses together."""
        return sum(pause.seconds for pause in self.pauses.values())

    def as_json(self) -> Mapping[str, Mapping[str, float]]:
        """The pauses as stored in the history."""
        return {
            reason: {"count": pause.count, "seconds": round(pause.seconds, 3)}
            for reason, pause in self.pauses.items()
        }

    def _pause(self, reason: str, seconds: float) -> None:
        began = self.clock()
        self.sleep(seconds)
        pause = self.pauses.setdefault(reason, Pause())
        pause.count += 1
        pause.seconds += self.clock() - began

    def _reason(self, connection: Connection) -> str | None:
        if self.pause_file.exists():
            return "pause_file"
        load = ServerLoad(*row(connection, sql.get("throttle/load")))
        limits = self.limits
        if limits.replica_lag is not None and load.replica_lag_seconds > limits.replica_lag.total_seconds():
            return "replica_lag"
        if limits.lock_queue is not None and load.lock_queue > limits.lock_queue:
            return "lock_queue"
        if limits.active_sessions is not None and load.active_sessions > limits.active_sessions:
            return "active_sessions"
        return "wal_rate" if self._beyond_budget(load.wal_bytes) else None

    def _beyond_budget(self, wal_bytes: int) -> bool:
        """Whether more WAL was written since the last look than `wal_rate` allows."""
        if self.limits.wal_rate is None:
            return False
        if self._wal is None:
            self._wal = (self.clock(), wal_bytes)
            return False
        since, before = self._wal
        if wal_bytes - before > self.limits.wal_rate * (self.clock() - since):
            return True
        self._wal = (self.clock(), wal_bytes)
        return False

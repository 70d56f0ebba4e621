"""Waits between batches while the server is busier than the policy's throttle limits allow."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import sql
from ops_pipeline.policies.model import ThrottleLimits
from ops_pipeline.postgres.connection import Connection, row

LOOK_EVERY_SECONDS = 0.25
"""The load is read at most this often; reading it takes about a millisecond."""
FIRST_WAIT_SECONDS = 0.1
LONGEST_WAIT_SECONDS = 2.0
REPORT_AFTER_SECONDS = 0.5
"""A wait that lasts this long is reported. Under `wal_rate`, shorter ones may follow every batch."""
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
class Waits:
    """How often and how long a run was throttled for one reason."""

    count: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Exceeded:
    """A limit that is exceeded now: its key in policies.yaml or `throttle_file`, and the numbers in words."""

    limit: str
    numbers: str

    def __str__(self) -> str:
        return f"{self.limit}: {self.numbers}"


Waiting = Callable[[Exceeded, float], None]
"""Called when a run waits for a limit, with the seconds that it has waited."""


def unreported(_exceeded: Exceeded, _seconds: float) -> None:
    """The `Waiting` of a run that reports nothing."""


@dataclass(slots=True)
class Throttle:
    """Lets a run continue only while the database is within the policy's limits.

    `waits` counts every wait by its reason: replica_lag, lock_queue, active_sessions, wal_rate,
    throttle_file. `waiting` is called once for each reason of a wait that lasts, while it lasts.
    """

    limits: ThrottleLimits
    throttle_file: Path
    waiting: Waiting = unreported
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    waits: dict[str, Waits] = field(default_factory=dict)
    _looked: float = float("-inf")
    _wal: tuple[float, int] | None = None

    def wait(self, connection: Connection, stop: Callable[[], str | None]) -> str | None:
        """Sleeps until the run may continue. Returns None then, or why it should end."""
        if self.clock() - self._looked < LOOK_EVERY_SECONDS:
            return None
        began, wait, reported = self.clock(), FIRST_WAIT_SECONDS, ""
        while (exceeded := self._exceeded(connection)) is not None:
            if (stopped := stop()) is not None:
                return stopped
            seconds = self.clock() - began
            if seconds > PATIENCE_SECONDS:
                return f"throttled for an hour because of {exceeded.limit}; the next run continues from here"
            if seconds >= REPORT_AFTER_SECONDS and exceeded.limit != reported:
                reported = exceeded.limit
                self.waiting(exceeded, seconds)
            self._sleep(exceeded.limit, wait)
            wait = min(LONGEST_WAIT_SECONDS, wait * 2)
        self._looked = self.clock()
        return None

    @property
    def seconds(self) -> float:
        """The seconds of all waits together."""
        return sum(waits.seconds for waits in self.waits.values())

    def as_json(self) -> Mapping[str, Mapping[str, float]]:
        """The waits by reason, as stored in the history."""
        return {
            reason: {"count": waits.count, "seconds": round(waits.seconds, 3)}
            for reason, waits in self.waits.items()
        }

    def _sleep(self, reason: str, seconds: float) -> None:
        began = self.clock()
        self.sleep(seconds)
        waits = self.waits.setdefault(reason, Waits())
        waits.count += 1
        waits.seconds += self.clock() - began

    def _exceeded(self, connection: Connection) -> Exceeded | None:
        if self.throttle_file.exists():
            return Exceeded("throttle_file", f"the file {self.throttle_file} exists")
        load = ServerLoad(*row(connection, sql.get("throttle/load")))
        limits = self.limits
        if limits.replica_lag is not None and load.replica_lag_seconds > limits.replica_lag.total_seconds():
            lag, most = load.replica_lag_seconds, limits.replica_lag.total_seconds()
            return Exceeded("replica_lag", f"the slowest standby is {lag:,.0f} s behind, limit {most:,.0f} s")
        if limits.lock_queue is not None and load.lock_queue > limits.lock_queue:
            return Exceeded(
                "lock_queue", f"{load.lock_queue} sessions wait for a lock, limit {limits.lock_queue}"
            )
        if limits.active_sessions is not None and load.active_sessions > limits.active_sessions:
            return Exceeded(
                "active_sessions",
                f"{load.active_sessions} other sessions are active, limit {limits.active_sessions}",
            )
        if self._beyond_budget(load.wal_bytes):
            return Exceeded(
                "wal_rate", f"the server wrote more than {limits.wal_rate:,} bytes of WAL a second"
            )
        return None

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

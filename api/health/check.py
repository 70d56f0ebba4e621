"""The types of a health check and of its result."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

RUNBOOK = "docs/runbook.md"
AGAIN_SECONDS = 1.0

HealthStatus = Literal["ok", "error", "not_configured"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found. `message` is for a person who may know addresses; it names no password."""

    status: HealthStatus
    message: str


OK = Finding("ok", "")


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """Something to look at, again and again.

    `critical`: without it no request can be answered, so ready and full turn 503; anything else only
    degrades. `interval` and `deadline` are in seconds. `look` may raise: what it raises is the message.
    `reason` is what every client may know, in a few words, when it has failed.
    """

    name: str
    look: Callable[[], Awaitable[Finding]]
    critical: bool = False
    reason: str = ""
    interval: float = 15.0
    deadline: float = 3.0

    @property
    def runbook(self) -> str:
        return f"{RUNBOOK}#{self.name.lower()}"

    def beat(self, finding: Finding) -> float:
        """Seconds from the beginning of a look that found this to that of the next.

        What requests wait for is looked at again soon, so that the first second in which it is back counts.
        """
        return (
            min(self.interval, AGAIN_SECONDS)
            if self.critical and finding.status == "error"
            else self.interval
        )


@dataclass(frozen=True, slots=True)
class HealthResult:
    """A finding, how long it took in ms, and when."""

    finding: Finding
    latency_ms: float
    checked_at: datetime

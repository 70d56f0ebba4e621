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
    """The finding of a check. `message` may contain addresses, but no password."""

    status: HealthStatus
    message: str


OK = Finding("ok", "")


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """A check that is run periodically.

    `critical`: no request can be answered without it, so ready and full return 503 when it fails; other
    checks only degrade. `interval` and `deadline` are in seconds. If `look` raises an error, its text becomes
    the message. `reason` is a short text for all clients when the check has failed.
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
        """Seconds from the start of a look with this finding to the start of the next one.

        A failed critical check is repeated after a second, so that recovery is noticed at once.
        """
        return (
            min(self.interval, AGAIN_SECONDS)
            if self.critical and finding.status == "error"
            else self.interval
        )


@dataclass(frozen=True, slots=True)
class HealthResult:
    """A finding, with its duration in ms and its time."""

    finding: Finding
    latency_ms: float
    checked_at: datetime

"""What a check is, and what it finds."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

RUNBOOK = "docs/runbook.md"

Status = Literal["ok", "error", "not_configured"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found. `message` is for a person; it names no password."""

    status: Status
    message: str


OK = Finding("ok", "")


@dataclass(frozen=True, slots=True)
class Check:
    """Something to look at, again and again.

    `critical`: without it no request can be answered, so ready and full turn 503; anything else only
    degrades. `interval` and `deadline` are in seconds. `look` may raise: what it raises is the message.
    """

    name: str
    look: Callable[[], Awaitable[Finding]]
    critical: bool = False
    interval: float = 15.0
    deadline: float = 3.0

    @property
    def runbook(self) -> str:
        return f"{RUNBOOK}#{self.name.lower()}"


@dataclass(frozen=True, slots=True)
class Result:
    """A finding, how long it took in ms, and when."""

    finding: Finding
    latency_ms: float
    checked_at: datetime

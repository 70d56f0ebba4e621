"""The state of the process: uptime, requests in flight, whether it is shutting down."""

import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class Lifecycle:
    """The state shared by requests, health probes and shutdown.

    `in_flight`: the requests that are not answered yet; by id, what they are and when they began.
    """

    started: float = field(default_factory=time.monotonic)
    draining: bool = False
    in_flight: dict[str, tuple[str, float]] = field(default_factory=dict)

    @property
    def uptime(self) -> float:
        """Seconds since the start."""
        return round(time.monotonic() - self.started, 3)

    def busy_with(self) -> list[str]:
        """The requests in flight, as texts for the log."""
        now = time.monotonic()
        return [f"{what} ({now - since:.1f} s)" for what, since in list(self.in_flight.values())]

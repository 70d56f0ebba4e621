"""Since when this process runs, and whether it is on its way out."""

import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class Lifecycle:
    """The one thing that requests, health and shutdown all look at."""

    started: float = field(default_factory=time.monotonic)
    draining: bool = False

    @property
    def uptime(self) -> float:
        """Seconds since the start."""
        return round(time.monotonic() - self.started, 3)

"""When work that holds other sessions up has to be over."""

import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Deadline:
    """`seconds` from when it was set; `at` is on the clock of time.monotonic."""

    seconds: float
    at: float

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        """The deadline that is so many seconds away."""
        return cls(seconds, time.monotonic() + seconds)

    def remaining(self) -> float:
        """The seconds until then; 0 once it has passed."""
        return max(0.0, self.at - time.monotonic())

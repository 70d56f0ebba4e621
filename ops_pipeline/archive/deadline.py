"""A deadline for work during which rows are locked."""

import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Deadline:
    """`seconds` after it was set; `at` is a time of time.monotonic."""

    seconds: float
    at: float

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        """The deadline that many seconds from now."""
        return cls(seconds, time.monotonic() + seconds)

    def remaining(self) -> float:
        """The seconds until then; 0 once it has passed."""
        return max(0.0, self.at - time.monotonic())

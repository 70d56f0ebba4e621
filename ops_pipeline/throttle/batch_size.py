"""Chooses the size of the next batch, so that it takes the time a batch should take."""

from dataclasses import dataclass
from typing import Literal

from ops_pipeline.policies.model import ThrottleLimits

LEAST_LIMIT_SECONDS = 10.0
"""No batch is rolled back before this time, however short its target is."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large a batch of a scan may be, in the scan's unit."""

    first: int
    least: int
    most: int
    unit: Literal["blocks", "rows"] = "rows"

    def within(self, limits: ThrottleLimits) -> "Sizes":
        """The same sizes, none of them above the limits' largest batch."""
        cap = limits.most_blocks if self.unit == "blocks" else limits.most_rows
        if cap is None:
            return self
        return Sizes(min(self.first, cap), min(self.least, cap), min(self.most, cap), self.unit)


@dataclass(slots=True)
class BatchSize:
    """Adapts the size of the next batch to how long the last one took.

    `target_seconds`: long enough to be worth a commit, short enough for sessions that wait for its locks, and
    for a request to stop. `limit`: how many times the target a batch may take.
    """

    sizes: Sizes
    target_seconds: float
    limit: float = 50.0
    size: int = 0

    def __post_init__(self) -> None:
        self.size = self.sizes.first

    @property
    def limit_seconds(self) -> float:
        """After how many seconds a batch is rolled back and tried again at half its size."""
        return max(LEAST_LIMIT_SECONDS, self.limit * self.target_seconds)

    @property
    def at_its_least(self) -> bool:
        """Whether no smaller batch can be tried."""
        return self.size <= self.sizes.least

    def fit(self, seconds: float) -> None:
        """Adapts the size to how long a batch of the current size took; at most doubles or halves it."""
        factor = min(2.0, max(0.5, self.target_seconds / max(seconds, 1e-6)))
        self.size = max(self.sizes.least, min(self.sizes.most, round(self.size * factor)))

    def halve(self) -> None:
        """Halves the size, after a batch that took too long."""
        self.size = max(self.sizes.least, self.size // 2)

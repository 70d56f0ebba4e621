"""What a policy's run did."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Outcome = Literal["running", "done", "stopped", "interrupted", "failed", "skipped"]
"""done: everything that was due is gone. stopped: ended early on purpose, the next run goes on.
skipped: another run holds the policy. interrupted and failed are kept in the history and raised."""

COMPLETED = "completed"


@dataclass(frozen=True, slots=True)
class Work:
    """What one kind of policy did to its tables."""

    stopped_reason: str
    left: int
    oldest: datetime | None = None
    dead_tuples_before: int = 0
    dead_tuples_after: int = 0

    @property
    def outcome(self) -> Outcome:
        return "done" if self.stopped_reason == COMPLETED else "stopped"


@dataclass(frozen=True, slots=True)
class Result:
    """One policy's run.

    `examined`, `removed`: rows looked at and removed. `left`: rows the policy would still remove, None
    when nobody looked. `oldest`: the oldest row that the table still holds. VACUUM removes no rows: it
    looks at tables, leaves those it could not have, and what it brings is in the dead tuples.
    """

    policy: str
    outcome: Outcome
    stopped_reason: str
    examined: int
    removed: int
    left: int | None
    seconds: float
    oldest: datetime | None = None
    dead_tuples_before: int = 0
    dead_tuples_after: int = 0

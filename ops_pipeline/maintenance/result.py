"""What a policy's run did."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

Outcome = Literal[
    "running", "done", "stopped", "needs_approval", "paused", "observed", "interrupted", "failed", "skipped"
]
"""done: everything that the policy deletes was deleted. stopped: ended early on purpose, or rows remain; the
next run continues. needs_approval: nothing was deleted, or no more than the guard allows, and a person must
approve the plan first. paused: it did not begin, or ended early, because maintenance is paused; neither done
nor failed. observed: the policy is observed only, and what it would do was recorded. skipped: another run of
the policy is running. interrupted and failed are recorded in the history and raised."""

COMPLETED = "completed"


class RefusedError(Exception):
    """The policy cannot run as it is written. Nothing was deleted; the message says what to fix."""


def refuse(problems: Sequence[str]) -> None:
    """Raises RefusedError if the policy has problems. Call it before anything is deleted."""
    if problems:
        raise RefusedError(f"refused, and nothing was deleted. Reason: {'; '.join(problems)}")


@dataclass(frozen=True, slots=True)
class Work:
    """What one kind of policy did to its tables.

    `remaining`: rows that it should have removed and that remain, None where they were not counted; a run
    with any is not done. `plan`: the id of the stored plan that must be approved first. `approval`: the id of
    the approved plan that this run used. `paused`: it ended because maintenance is paused. `observed`: it
    only recorded what it would do. `details` are recorded in the history.
    """

    stopped_reason: str
    remaining: int | None
    oldest: datetime | None = None
    dead_tuples_before: int = 0
    dead_tuples_after: int = 0
    plan: str | None = None
    approval: str | None = None
    paused: bool = False
    observed: bool = False
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def outcome(self) -> Outcome:
        if self.plan is not None:
            return "needs_approval"
        if self.paused or self.observed:
            return "paused" if self.paused else "observed"
        return "done" if self.stopped_reason == COMPLETED and not self.remaining else "stopped"


@dataclass(frozen=True, slots=True)
class RunResult:
    """One policy's run.

    `scanned`, `removed`, `archived`: rows scanned (about), removed, and archived first. `remaining`: rows
    remaining that the policy would remove, None where they were not counted. `planned`: rows to be removed
    when the run began. `oldest`: the time of the oldest row that is still in the table. `working` and
    `seconds_throttled` are parts of `seconds`; `throttled` has the latter by reason. `wal_bytes`: the WAL
    that the server wrote meanwhile. VACUUM removes no rows: `scanned` counts tables, `remaining` is None, and
    its effect is in the dead tuples and `details`. `throttle_reason`: why it is throttled at this moment,
    since `throttled_for`. `cascaded`: rows of other tables that were also deleted or changed.
    """

    policy: str
    outcome: Outcome
    stopped_reason: str
    scanned: int
    removed: int
    remaining: int | None
    seconds: float
    oldest: datetime | None = None
    dead_tuples_before: int = 0
    dead_tuples_after: int = 0
    run_id: int | None = None
    method: str = ""
    planned: int | None = None
    archived: int = 0
    bytes: int = 0
    wal_bytes: int = 0
    working: float = 0.0
    seconds_throttled: float = 0.0
    throttled: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    throttle_reason: str | None = None
    throttled_for: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    cascaded: Sequence[Mapping[str, Any]] = ()

    @property
    def work_outcome(self) -> Outcome:
        """The outcome of the policy's own work, also where one of its checks has failed the run."""
        recorded: Outcome = self.details.get("work_outcome", self.outcome)
        return recorded

"""What a policy's run did."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

Outcome = Literal["running", "done", "stopped", "needs_approval", "interrupted", "failed", "skipped"]
"""done: everything that was due is gone. stopped: ended early on purpose, the next run goes on.
needs_approval: nothing was removed, a person has to approve the plan first. skipped: another run holds the
policy. interrupted and failed are kept in the history and raised."""

COMPLETED = "completed"


class RefusedError(Exception):
    """The policy cannot be carried out as things are. Nothing was removed; the message says what to mend."""


def refuse(policy: str, problems: Sequence[str]) -> None:
    """Raises RefusedError where there are any problems; nothing may have been deleted yet."""
    if problems:
        raise RefusedError(f"{policy}: refused. Nothing was deleted: {'; '.join(problems)}")


@dataclass(frozen=True, slots=True)
class Work:
    """What one kind of policy did to its tables.

    `left`: rows that it was to remove and that are still there, None when nobody looked; a run that leaves
    any is not done. `plan`: the stored plan that has to be approved before anything may go. `approval`: the
    approved plan that let this run through. `details` are kept in the history.
    """

    stopped_reason: str
    left: int | None
    oldest: datetime | None = None
    dead_tuples_before: int = 0
    dead_tuples_after: int = 0
    plan: str | None = None
    approval: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def outcome(self) -> Outcome:
        if self.plan is not None:
            return "needs_approval"
        return "done" if self.stopped_reason == COMPLETED and not self.left else "stopped"


@dataclass(frozen=True, slots=True)
class RunResult:
    """One policy's run.

    `examined`, `removed`, `archived`: rows looked at (about), removed, and put into the archive first.
    `left`: rows the policy would still remove, None when nobody looked. `planned`: rows that were to go when
    the run began. `oldest`: the oldest row that the table still holds. `working` and `pausing` are parts of
    `seconds`. `wal_bytes`: what the server wrote meanwhile. VACUUM removes no rows: it looks at tables,
    leaves those it could not have, and what it brings is in the dead tuples and `details`. `cascaded`: rows
    of other tables that were deleted and changed along.
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
    run_id: int | None = None
    method: str = ""
    planned: int | None = None
    archived: int = 0
    bytes: int = 0
    wal_bytes: int = 0
    working: float = 0.0
    pausing: float = 0.0
    pauses: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    cascaded: Sequence[Mapping[str, Any]] = ()

"""The newest Dagster run of a database: what became of its policies, also of those that never began."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ops_pipeline.counted import counted
from ops_pipeline.diagnosis import dagster_run
from ops_pipeline.maintenance.overdue import LastRuns
from ops_pipeline.opsctl import opsctl
from ops_pipeline.policies.model import Policy
from ops_pipeline.postgres.advisory_lock import lock_is_held, run_lock
from ops_pipeline.postgres.connection import Connection


@dataclass(frozen=True, slots=True)
class NewestRun:
    """The newest run. `outcomes`: how many of its policies that have begun have each; `not_begun`: its other
    policies; `excluded`: how many policies of the database it does not include. `has_ended`: as Dagster has
    it; `is_alive`: a step of it is connected to the database, or was until a moment ago."""

    started_at: datetime
    outcomes: dict[str, int]
    not_begun: Sequence[str]
    excluded: int
    has_ended: bool
    is_alive: bool

    @property
    def problem(self) -> str | None:
        """What is wrong where policies have not begun, and what to do."""
        if not self.not_begun or (self.is_alive and not self.has_ended):
            return None
        what = "ended before it began" if self.has_ended else "has no worker at present, and has not begun"
        command = opsctl("run", policies=self.not_begun)
        return f"the last run {what} {', '.join(self.not_begun)}. To continue: {command}"


def find(
    dagster_url: str, connection: Connection, policies: Sequence[Policy], runs: Sequence[LastRuns]
) -> NewestRun | None:
    """The newest run, by the last runs of the policies of a database; None before the first one. Raises
    psycopg.Error."""
    begun = [(of_policy.started_at, of_policy.dagster_run_id) for of_policy in runs if of_policy.started_at]
    if not begun:
        return None
    started_at, run_id = max(begun, key=lambda each: each[0])
    in_it = [of_policy for of_policy in runs if of_policy.started_at and of_policy.dagster_run_id == run_id]
    others = [of_policy.policy for of_policy in runs if of_policy not in in_it]
    run = dagster_run.find(dagster_url, run_id) if others and run_id else None
    included = {policy.name for policy in policies if run is not None and run.includes(policy.identity)}
    not_begun = [policy for policy in others if policy in included]
    return NewestRun(
        started_at,
        Counter(str(of_policy.outcome) for of_policy in in_it),
        not_begun,
        len(others) - len(not_begun),
        has_ended=run is None or run.ended,
        is_alive=run is not None and (not run.is_silent or lock_is_held(connection, run_lock(run_id or ""))),
    )


def in_words(newest: NewestRun | None) -> str:
    """The newest run in one line."""
    if newest is None:
        return "none yet"
    said = [", ".join(f"{number} {name.replace('_', ' ')}" for name, number in newest.outcomes.items())]
    if newest.not_begun:
        said.append(f"{counted(len(newest.not_begun), 'policy has', 'policies have')} not begun")
    if newest.excluded:
        said.append(f"{counted(newest.excluded, 'policy was', 'policies were')} not part of this run")
    return f"{newest.started_at:%Y-%m-%d %H:%M} UTC: {'; '.join(said)}"

"""Describes an ended run that a person must know of: what is wrong, what is safe, what to do next."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import NAMESPACE_URL, UUID, uuid5

import dagster as dg

from ops_pipeline import settings
from ops_pipeline.audit import trail
from ops_pipeline.audit.event import AuditEvent
from ops_pipeline.maintenance.kinds import kind_of
from ops_pipeline.opsctl import opsctl
from ops_pipeline.orchestration import failure, remedy, run_outcome, run_ownership
from ops_pipeline.orchestration.failure import FailedStep
from ops_pipeline.policies.model import Policies

State = Literal["failed", "rows_remain", "needs_approval", "vacuum_incomplete"]

SAFE = (
    "Every committed batch is kept, and an unfinished batch is rolled back. Expired rows that were not "
    "deleted are still in their tables."
)
SAFE_IN_ARCHIVE = (
    "No archived row is lost: a restore brings back all rows of its days or none, and verifying changes none."
)
DO: Mapping[State, str] = {
    "failed": "Fix the cause above, then run `{run}`, or re-execute the run from failure: it continues "
    "where it stopped.",
    "rows_remain": "Fix what kept the rows, then run `{run}`, or re-execute the run from failure.",
    "needs_approval": "Review the plans: `opsctl plan`. If the rows may be deleted, run the command of each "
    "policy, or approve the plans and re-execute the run from failure.",
    "vacuum_incomplete": "End or wait for what the reason names, then run `{run}`, or wait for the next "
    "nightly run.",
}
"""What to do next; `run`: the command."""
DO_IN_ARCHIVE = "Fix the cause above, then launch the job again with the same configuration."
WORDS: Mapping[State, str] = {
    "failed": "failed",
    "rows_remain": "stopped with rows remaining",
    "needs_approval": "needs approval",
    "vacuum_incomplete": "left VACUUM incomplete",
}
"""The states, the worst one first, as the headline has them."""
DO_WAIT = "Nothing yet: Dagster retries the run automatically. If the retry fails as well, that is reported."
WILL_RETRY = "dagster/will_retry"


@dataclass(frozen=True, slots=True)
class Alert:
    """An ended run that a person must know of."""

    run_id: str
    job: str
    databases: tuple[str, ...]
    problems: tuple[FailedStep, ...]
    ended_at: datetime
    seconds: float
    will_retry: bool
    url: str
    works_on_archive: bool = False

    @property
    def state(self) -> State:
        """The worst state of its policies."""
        return next(state for state in WORDS if any(state_of(step) == state for step in self.problems))

    @property
    def headline(self) -> str:
        """One line: what became of which policies, the worst first."""
        by_state = {
            words: [step.step for step in self.problems if state_of(step) == state]
            for state, words in WORDS.items()
        }
        said = "; ".join(f"{words}: {', '.join(names)}" for words, names in by_state.items() if names)
        return f"Maintenance of {', '.join(self.databases)} {said}"

    @property
    def do(self) -> str:
        """What to do next."""
        if self.will_retry:
            return DO_WAIT
        advice = DO_IN_ARCHIVE if self.works_on_archive else DO[self.state].format(run=self._run)
        return f"{advice} Runbook: {self.runbook}" if self.state == "failed" else advice

    @property
    def _run(self) -> str:
        policies = [step.policy for step in self.problems if step.policy is not None]
        if len(policies) == len(self.problems):
            return opsctl("run", policies=policies)
        return opsctl("run", database=self.databases[0] if len(self.databases) == 1 else None)

    @property
    def safe(self) -> str:
        """What has not been lost."""
        return SAFE_IN_ARCHIVE if self.works_on_archive else SAFE

    @property
    def runbook(self) -> str:
        """The address of the runbook's section for such a run."""
        return str(remedy.runbook("archive" if self.works_on_archive else remedy.FAILED_RUN).value)

    @property
    def sections(self) -> Sequence[tuple[str, str]]:
        """The parts of the message for a person: title and text."""
        reasons = "\n".join(_in_words(step) for step in self.problems)
        return [("Why", reasons), ("What is safe", self.safe), ("What to do", self.do)]

    @property
    def link(self) -> tuple[str, str]:
        """The run's page."""
        return self.url, "The run in Dagster"

    def audit_event(self) -> AuditEvent:
        """The audit event; its id derives from the run, so that reports of one run are stored once."""
        return AuditEvent(
            id=uuid5(NAMESPACE_URL, f"dagster-run-failure:{self.run_id}"),
            event_type=trail.EVENT_TYPE,
            action=f"run.{self.state}",
            resource_type="dagster_run",
            resource_id=_uuid(self.run_id),
            status="failure",
            duration_ms=min(round(self.seconds * 1000), 2**31 - 1),
            created_at=self.ended_at,
            created_by=trail.SYSTEM,
            details=dict(self.as_json()),
        )

    def as_json(self) -> Mapping[str, Any]:
        """The message for a program."""
        return {
            "event": f"maintenance_{self.state}",
            "headline": self.headline,
            "run_id": self.run_id,
            "run_url": self.url,
            "job": self.job,
            "databases": list(self.databases),
            "problems": [
                {
                    "policy": step.policy,
                    "step": step.step,
                    "state": state_of(step),
                    "outcome": step.outcome,
                    "reason": step.reason,
                    **step.remedy,
                }
                for step in self.problems
            ],
            "ended_at": self.ended_at.isoformat(),
            "will_retry": self.will_retry,
            "safe": self.safe,
            "do": self.do,
        }


def alert_of(instance: dg.DagsterInstance, policies: Policies, record: dg.RunRecord) -> Alert | None:
    """What to report of that run; None when it is not of our policies, or a person need not know of it."""
    run = record.dagster_run
    databases = run_ownership.databases_of(policies, run)
    if not databases or run.status == dg.DagsterRunStatus.CANCELED:
        return None  # a person has terminated it
    failed = run.status == dg.DagsterRunStatus.FAILURE
    problems = failure.failed_steps(instance, policies, run.run_id) if failed else []
    problems += incomplete_vacuums(instance, policies, run.run_id, {step.policy for step in problems})
    if not problems:
        return None
    ended = record.end_time or record.update_timestamp.timestamp()
    return Alert(
        run_id=run.run_id,
        job=run.job_name,
        databases=tuple(database.name for database in databases),
        problems=tuple(problems),
        ended_at=datetime.fromtimestamp(ended, UTC),
        seconds=max(0.0, ended - (record.start_time or ended)),
        will_retry=run.tags.get(WILL_RETRY) == "true",
        url=f"{settings.load().public_dagster_url}/runs/{run.run_id}",
        works_on_archive=any(run_ownership.works_on_archive(database, run) for database in databases),
    )


def incomplete_vacuums(
    instance: dg.DagsterInstance, policies: Policies, run_id: str, reported: set[str | None]
) -> Iterator[FailedStep]:
    """The vacuum policies that could not do all of their work, and whose step did not fail for it."""
    outcomes = run_outcome.reported(instance, run_id)
    for _, policy in policies:
        last = outcomes.get(policy.identity.path)
        if kind_of(policy).deletes or policy.name in reported or last is None or last.outcome != "stopped":
            continue
        about = remedy.texts(last.metadata)
        yield FailedStep(
            policy.identity.op_name, last.reason, policy.name, last.outcome, remedy=about, failed=False
        )


def state_of(step: FailedStep) -> State:
    """What became of a policy, as far as a person must know of it."""
    if step.outcome == run_outcome.NEEDS_APPROVAL:
        return "needs_approval"
    if step.outcome == "stopped":
        return "rows_remain" if step.failed else "vacuum_incomplete"
    return "failed"


def _in_words(step: FailedStep) -> str:
    command = step.remedy.get("terminal") if step.outcome == run_outcome.NEEDS_APPROVAL else None
    # The reason names the checks.
    return f"• {step.policy or step.key}: {step.reason}" + (f"\n   `{command}`" if command else "")


def _uuid(run_id: str) -> UUID | None:
    try:
        return UUID(run_id)
    except ValueError:
        return None

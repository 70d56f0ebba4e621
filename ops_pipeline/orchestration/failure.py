"""Describes a failed run for an operator: what failed, what is safe, what to do next."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import dagster as dg

from ops_pipeline import settings
from ops_pipeline.audit import trail
from ops_pipeline.audit.event import AuditEvent
from ops_pipeline.orchestration import order, remedy, run_outcome, run_ownership
from ops_pipeline.policies.model import Policies

SAFE = (
    "Every committed batch is kept, and an unfinished batch is rolled back. Expired rows that were not "
    "deleted are still in their tables."
)
DO = (
    "Fix the cause above, then run `opsctl run`, or re-execute the run from failure: it continues where it "
    "stopped."
)
DO_APPROVE = (
    "Review the plans: `opsctl plan`. If the rows may be deleted, run the command of each policy, or approve "
    "the plans and re-execute the run from failure."
)
DO_WAIT = "Nothing yet: Dagster retries the run automatically. If the retry fails as well, that is reported."
SAFE_IN_ARCHIVE = (
    "No archived row is lost: a restore brings back all rows of its days or none, and verifying changes none."
)
DO_IN_ARCHIVE = (
    "Fix the cause above, then launch the job again with the same configuration. See docs/runbook.md, "
    '"archive".'
)
LONGEST_REASON = 500
WILL_RETRY = "dagster/will_retry"


@dataclass(frozen=True, slots=True)
class FailedStep:
    """A failed step and its reason.

    `policy`: the policy that the step runs; a step without one only has its `key`. `outcome`: the policy's
    outcome, `failed` where its step ended without saying so. `checks`: the checks for which it failed.
    `remedy`: what to do, by place (terminal, launchpad, runbook).
    """

    key: str
    reason: str
    policy: str | None = None
    outcome: str = run_outcome.FAILED
    checks: tuple[str, ...] = ()
    remedy: Mapping[str, str] = field(default_factory=dict)

    @property
    def step(self) -> str:
        """What failed: `app/retention/sessions`, `app/retention/sessions, archive_verified`."""
        return ", ".join([self.policy or self.key, *self.checks])


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed run: what failed, what is safe, and what to do."""

    run_id: str
    job: str
    databases: tuple[str, ...]
    steps: tuple[FailedStep, ...]
    failed_at: datetime
    seconds: float
    will_retry: bool
    url: str
    works_on_archive: bool = False

    @property
    def headline(self) -> str:
        """One line."""
        failed_steps = ", ".join(failed.step for failed in self.steps) or self.job
        became = "needs approval" if self.needs_approval else "failed"
        return f"Maintenance of {', '.join(self.databases)} {became}: {failed_steps}"

    @property
    def needs_approval(self) -> bool:
        """Whether nothing failed, and a person only has to approve."""
        return all(failed.outcome == run_outcome.NEEDS_APPROVAL for failed in self.steps)

    @property
    def do(self) -> str:
        """What to do next."""
        if self.will_retry:
            return DO_WAIT
        if self.works_on_archive:
            return DO_IN_ARCHIVE
        return DO_APPROVE if self.needs_approval else f"{DO} Runbook: {self.runbook}"

    @property
    def safe(self) -> str:
        """What has not been lost."""
        return SAFE_IN_ARCHIVE if self.works_on_archive else SAFE

    @property
    def runbook(self) -> str:
        """The address of the runbook's section for a failed run."""
        return str(remedy.runbook(remedy.FAILED_RUN).value)

    def audit_event(self) -> AuditEvent:
        """The audit event; its id derives from the run, so that reports of one run are stored once."""
        return AuditEvent(
            id=uuid5(NAMESPACE_URL, f"dagster-run-failure:{self.run_id}"),
            event_type=trail.EVENT_TYPE,
            action="run.failed",
            resource_type="dagster_run",
            resource_id=_uuid(self.run_id),
            status="failure",
            duration_ms=min(round(self.seconds * 1000), 2**31 - 1),
            created_at=self.failed_at,
            created_by=trail.SYSTEM,
            details=dict(self.as_json()),
        )

    def as_json(self) -> Mapping[str, Any]:
        """The JSON format of the webhook."""
        return {
            "event": "maintenance_run_failed",
            "headline": self.headline,
            "run_id": self.run_id,
            "run_url": self.url,
            "job": self.job,
            "databases": list(self.databases),
            "failed": [
                {"step": failed.step, "outcome": failed.outcome, "reason": failed.reason, **failed.remedy}
                for failed in self.steps
            ],
            "failed_at": self.failed_at.isoformat(),
            "will_retry": self.will_retry,
            "safe": self.safe,
            "do": self.do,
        }


def failure_of(instance: dg.DagsterInstance, policies: Policies, record: dg.RunRecord) -> Failure | None:
    """The failure of that run; None when the run does not belong to our policies."""
    configured = settings.load()
    run = record.dagster_run
    databases = run_ownership.databases_of(policies, run)
    if not databases:
        return None
    ended = record.end_time or record.update_timestamp.timestamp()
    return Failure(
        run_id=run.run_id,
        job=run.job_name,
        databases=tuple(database.name for database in databases),
        steps=tuple(_steps(instance, policies, run.run_id)),
        failed_at=datetime.fromtimestamp(ended, UTC),
        seconds=max(0.0, ended - (record.start_time or ended)),
        will_retry=run.tags.get(WILL_RETRY) == "true",
        url=f"{configured.public_dagster_url}/runs/{run.run_id}",
        works_on_archive=any(run_ownership.works_on_archive(database, run) for database in databases),
    )


def failed_step(policies: Policies, event: dg.DagsterEvent) -> FailedStep:
    """The step that failed with that event."""
    key, data = event.step_key or "", event.step_failure_data
    said = reason(data.error)
    for _, policy in policies:
        if key == order.step(policy):
            given = data.user_failure_data.metadata if data.user_failure_data else {}
            texts = {name: str(value.value) for name, value in given.items()}
            outcome, checks = texts.pop("outcome", run_outcome.FAILED), texts.pop("checks", "")
            return FailedStep(
                key, said, policy.name, outcome, tuple(checks.split(", ") if checks else ()), texts
            )
    return FailedStep(key, said)


def _steps(instance: dg.DagsterInstance, policies: Policies, run_id: str) -> list[FailedStep]:
    kinds = {dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE}
    steps: list[FailedStep] = []
    run_reason = ""
    for record in instance.get_records_for_run(run_id, of_type=kinds).records:
        event = record.event_log_entry.dagster_event
        if event is None:
            continue
        if event.is_step_failure:
            steps.append(failed_step(policies, event))
        else:
            run_reason = event.message or "the run ended without a message"
    return steps or [FailedStep("the run", run_reason[:LONGEST_REASON])]


def reason(error: Any) -> str:
    """The failed step's message, shortened. Dagster's class for the error is not public."""
    if error is None:
        return "the step ended without a message"
    # The outer error is Dagster's "error while executing"; the real error is its cause.
    while error.cause is not None and error.cls_name != "Failure":
        error = error.cause
    message = str(error.message).strip()
    return message.partition(": ")[2][:LONGEST_REASON] or message[:LONGEST_REASON]


def _uuid(run_id: str) -> UUID | None:
    try:
        return UUID(run_id)
    except ValueError:
        return None

"""A failed run in the words of the person who has to deal with it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import dagster as dg

from ops_pipeline import settings
from ops_pipeline.audit import trail
from ops_pipeline.audit.event import AuditEvent
from ops_pipeline.orchestration import order, run_ownership
from ops_pipeline.policies.model import Policies

SAFE = (
    "Every batch that was committed stays done, and none is half done. What was due and is not gone yet "
    "stays where it is."
)
DO = (
    "Mend what the reason names, then run `opsctl run`, or re-execute the run from its failure: it goes on "
    'where it stopped. See docs/runbook.md, "When a night has failed".'
)
DO_WAIT = "Nothing yet: it is started again by itself. You are told if that does not help."
LONGEST_REASON = 500
WILL_RETRY = "dagster/will_retry"


@dataclass(frozen=True, slots=True)
class FailedStep:
    """A step and what it said.

    `policy`: the name of the policy whose step it is, or whose checks are; of the latter `checks` says which.
    A step of no policy has its own `key` alone.
    """

    key: str
    reason: str
    policy: str | None = None
    checks: tuple[str, ...] = ()

    @property
    def step(self) -> str:
        """What failed, for people: `app/retention/sessions`, `app/retention/sessions, archive_verified`."""
        return ", ".join([self.policy or self.key, *self.checks])


@dataclass(frozen=True, slots=True)
class Failure:
    """What failed, what is safe, and what to do."""

    run_id: str
    job: str
    databases: tuple[str, ...]
    steps: tuple[FailedStep, ...]
    failed_at: datetime
    seconds: float
    will_retry: bool
    url: str

    @property
    def headline(self) -> str:
        """One line."""
        failed_steps = ", ".join(failed.step for failed in self.steps) or self.job
        return f"Maintenance of {', '.join(self.databases)} failed: {failed_steps}"

    @property
    def do(self) -> str:
        """What to do next."""
        return DO_WAIT if self.will_retry else DO

    def audit_event(self) -> AuditEvent:
        """The same run makes the same event, so that it is stored once however often it is reported."""
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
        """The generic form that a webhook gets."""
        return {
            "event": "maintenance_run_failed",
            "headline": self.headline,
            "run_id": self.run_id,
            "run_url": self.url,
            "job": self.job,
            "databases": list(self.databases),
            "failed": [{"step": failed.step, "reason": failed.reason} for failed in self.steps],
            "failed_at": self.failed_at.isoformat(),
            "will_retry": self.will_retry,
            "safe": SAFE,
            "do": self.do,
        }


def failure_of(instance: dg.DagsterInstance, policies: Policies, record: dg.RunRecord) -> Failure | None:
    """The failure of that run; None when it is not a run of ours."""
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
        url=f"http://{configured.dagster_host}:{configured.dagster_port}/runs/{run.run_id}",
    )


def failed_step(policies: Policies, event: dg.DagsterEvent) -> FailedStep:
    """The step whose failure that event is."""
    key, said = event.step_key or "", reason(event.step_failure_data.error)
    for _, policy in policies:
        if key == order.step(policy):
            return FailedStep(key, said, policy.name)
        for check_step, checks in order.check_steps(policy):
            if key == check_step:
                return FailedStep(key, said, policy.name, tuple(check.name for check in checks))
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
            run_reason = event.message or "the run ended without a word"
    return steps or [FailedStep("the run", run_reason[:LONGEST_REASON])]


def reason(error: Any) -> str:
    """What the failed step said, in a line or a few. Dagster's class for it is not public."""
    if error is None:
        return "the step ended without a word"
    # The outer error is Dagster's "error while executing"; ours is the one that it was raised from.
    while error.cause is not None and error.cls_name != "Failure":
        error = error.cause
    message = str(error.message).strip()
    return message.partition(": ")[2][:LONGEST_REASON] or message[:LONGEST_REASON]


def _uuid(run_id: str) -> UUID | None:
    try:
        return UUID(run_id)
    except ValueError:
        return None

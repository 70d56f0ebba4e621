"""The failed steps of a run: which policies they belong to, and why they failed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from ops_pipeline.orchestration import order, run_outcome
from ops_pipeline.policies.model import Policies

LONGEST_REASON = 500
MORE = ". … (all of it: opsctl status)"


@dataclass(frozen=True, slots=True)
class FailedStep:
    """A failed step and its reason.

    `policy`: the policy that the step runs; a step without one only has its `key`. `outcome`: the policy's
    outcome, `failed` where its step ended without saying so. `checks`: the checks for which it failed.
    `remedy`: what to do, by place (terminal, launchpad, runbook). `failed` False: the step itself succeeded,
    like that of VACUUM that a session blocked.
    """

    key: str
    reason: str
    policy: str | None = None
    outcome: str = run_outcome.FAILED
    checks: tuple[str, ...] = ()
    remedy: Mapping[str, str] = field(default_factory=dict)
    failed: bool = True

    @property
    def step(self) -> str:
        """What failed: `app/retention/sessions`, `app/retention/sessions, archive_verified`."""
        return ", ".join([self.policy or self.key, *self.checks])


def failed_step(policies: Policies, event: dg.DagsterEvent) -> FailedStep:
    """The step that failed with that event."""
    key, data = event.step_key or "", event.step_failure_data
    said = reason(data.error)
    for _, policy in policies:
        if key == order.step(policy):
            own = said.removeprefix(f"{policy.name}: ")
            given = data.user_failure_data.metadata if data.user_failure_data else {}
            texts = {name: str(value.value) for name, value in given.items()}
            outcome, checks = texts.pop("outcome", run_outcome.FAILED), texts.pop("checks", "")
            return FailedStep(
                key, own, policy.name, outcome, tuple(checks.split(", ") if checks else ()), texts
            )
    return FailedStep(key, said)


def failed_steps(instance: dg.DagsterInstance, policies: Policies, run_id: str) -> list[FailedStep]:
    """The failed steps of a failed run; for a run that failed as a whole, "the run" with its reason."""
    kinds = {
        dg.DagsterEventType.STEP_FAILURE,
        dg.DagsterEventType.RUN_START,
        dg.DagsterEventType.RUN_FAILURE,
        dg.DagsterEventType.ENGINE_EVENT,
    }
    steps: list[FailedStep] = []
    run_reason = cause = ""
    started = False
    for record in instance.get_records_for_run(run_id, of_type=kinds).records:
        event = record.event_log_entry.dagster_event
        if event is None:
            continue
        if event.is_step_failure:
            steps.append(failed_step(policies, event))
        elif event.event_type is dg.DagsterEventType.RUN_FAILURE:
            run_reason = event.message or "the run ended without a message"
        elif event.event_type is dg.DagsterEventType.RUN_START:
            started = True
        elif event.engine_event_data.error is not None:
            cause = f"{event.message or ''} {reason(event.engine_event_data.error)}".strip()
    if cause:
        # Of a run that could not start, the event of its failure only says that something else has ended it.
        run_reason = f"{run_reason} {cause}" if started else cause
    return steps or [FailedStep(run_outcome.WHOLE_RUN, shortened(run_reason))]


def reason(error: Any) -> str:
    """The failed step's message, shortened. Dagster's class for the error is not public."""
    if error is None:
        return "the step ended without a message"
    # The outer error is Dagster's "error while executing"; the real error is its cause.
    while error.cause is not None and error.cls_name != "Failure":
        error = error.cause
    message = str(error.message).strip()
    return shortened(message.partition(": ")[2] or message)


def shortened(text: str) -> str:
    """The text, or as many of its sentences as fit: a command that is cut is worse than none."""
    if len(text) <= LONGEST_REASON:
        return text
    whole = text[: LONGEST_REASON - len(MORE)]
    end = max(whole.rfind(". "), whole.rfind("; "))
    return f"{whole[:end] if end > 0 else whole.rpartition(' ')[0]}{MORE}"

"""The policies of a run one after another, whatever became of those before.

An edge of Dagster's graph would skip what comes after a step that failed. So the policies have none among
them: each step starts in their order, by its priority, and waits until those before it have ended.
"""

import time
from collections.abc import Iterator, Sequence

import dagster as dg

from ops_pipeline.maintenance.check import PolicyCheck
from ops_pipeline.maintenance.kinds import kind_of
from ops_pipeline.orchestration import cancellation
from ops_pipeline.policies.model import Policy

LOOK_EVERY_SECONDS = 0.5
CHECKS = "checks"
"""How the step ends in which a policy's checks are that hold nobody back."""
CHECKS_PRIORITY = {"dagster/priority": "1"}
"""Checks come before the policies that are yet to start, which may wait for them."""

# A killed step that is to be started again needs a place that those who wait for it would take.
_ENDED = {
    dg.DagsterEventType.STEP_SUCCESS,
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.STEP_SKIPPED,
    dg.DagsterEventType.STEP_UP_FOR_RETRY,
}


def step(policy: Policy) -> str:
    """The policy's step, as Dagster calls it."""
    return policy.identity.op_name


def check_step(policy: Policy, check: str) -> str:
    """The step of a check of the policy that holds others back; it shares it with no other check."""
    return f"{step(policy)}_{check}"


def check_steps(policy: Policy) -> Iterator[tuple[str, list[PolicyCheck]]]:
    """The steps of the policy's checks, and which checks each has: those that hold nobody back share one."""
    checks = list(kind_of(policy).checks(policy))
    if together := [check for check in checks if not check.holds_back]:
        yield check_step(policy, CHECKS), together
    yield from ((check_step(policy, check.name), [check]) for check in checks if check.holds_back)


def priority(policy: Policy, policies: Sequence[Policy]) -> dict[str, str]:
    """The step's tag by which Dagster starts a database's policies in their order."""
    return {"dagster/priority": str(-policies.index(policy))}


def before(policy: Policy, policies: Sequence[Policy]) -> Sequence[Policy]:
    """The policies of the run that this one depends on."""
    return kind_of(policy).after(policy, policies[: policies.index(policy)])


def wait(context: dg.AssetExecutionContext, policy: Policy, policies: Sequence[Policy]) -> None:
    """Returns once those of this run's policies have ended that come before this one, in whatever way.

    Raises dg.Failure when the archive check of one of them has failed.
    """
    cancellation.stop_with_parent()
    chosen = _steps_of_run(context)
    earlier = before(policy, policies)
    _until_ended(context, chosen & set(map(step, earlier)))
    # The check of a policy that failed is never asked.
    done = _ended(context, {dg.DagsterEventType.STEP_SUCCESS})
    checks = {
        check_step(other, check.name): f"{check.name} of {other.name}"
        for other in earlier
        if step(other) in done or step(other) not in chosen
        for check in kind_of(other).checks(other)
        if check.holds_back
    }
    _until_ended(context, chosen & checks.keys())
    failed = checks.keys() & _ended(context, {dg.DagsterEventType.STEP_FAILURE})
    if failed:
        names = ", ".join(sorted(checks[name] for name in failed))
        raise dg.Failure(
            f"{policy.name} waits: the check {names} failed. Nothing was changed; until "
            "VACUUM has run, what was archived last can still be read from the table's pages. Put the files "
            "back that the check names, then re-execute this run from its failure",
            allow_retries=False,
        )


def _until_ended(context: dg.AssetExecutionContext, steps: set[str]) -> None:
    while not steps <= _ended(context, _ENDED):
        time.sleep(LOOK_EVERY_SECONDS)


def _ended(context: dg.AssetExecutionContext, kinds: set[dg.DagsterEventType]) -> set[str]:
    records = context.instance.get_records_for_run(context.run.run_id, of_type=kinds).records
    events = (record.event_log_entry.dagster_event for record in records)
    return {event.step_key for event in events if event is not None and event.step_key is not None}


def _steps_of_run(context: dg.AssetExecutionContext) -> set[str]:
    snapshot = context.run.execution_plan_snapshot_id
    if snapshot is None:
        return set()
    return set(context.instance.get_execution_plan_snapshot(snapshot).step_keys_to_execute)

"""Runs the policies of a run one after another, even when earlier ones fail.

Dagster skips steps downstream of a failed step. So there are no edges between policies: each step starts in
the order of the file, by its priority, and waits until the steps before it have ended.
Only the database knows which tables refer to which: a step that waits for a step that has not started, such
as that of a child table or one up for retry, requests a retry of itself so that the other can start.
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
"""The suffix of the step that has a policy's non-blocking checks."""
CHECKS_PRIORITY = {"dagster/priority": "1"}
"""Checks start before the policies that have not started, which may wait for them."""

GIVE_WAY_SECONDS = 3.0
"""How long a step waits before it gives its executor slot to a step that has not started."""
TURNS = 10_000
"""How often a step may do so."""

_ENDED = {
    dg.DagsterEventType.STEP_SUCCESS,
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.STEP_SKIPPED,
}
_STARTED = {dg.DagsterEventType.STEP_START, dg.DagsterEventType.STEP_RESTARTED}
_TO_START_AGAIN = {dg.DagsterEventType.STEP_UP_FOR_RETRY}


def step(policy: Policy) -> str:
    """The key of the policy's step in Dagster."""
    return policy.identity.op_name


def check_step(policy: Policy, check: str) -> str:
    """The key of the step of a blocking check, which has the step for itself."""
    return f"{step(policy)}_{check}"


def check_steps(policy: Policy) -> Iterator[tuple[str, list[PolicyCheck]]]:
    """The steps of the policy's checks, each with its checks. Non-blocking checks share one step."""
    checks = list(kind_of(policy).checks(policy))
    if together := [check for check in checks if not check.holds_back]:
        yield check_step(policy, CHECKS), together
    yield from ((check_step(policy, check.name), [check]) for check in checks if check.holds_back)


def priority(policy: Policy, policies: Sequence[Policy]) -> dict[str, str]:
    """The step's priority tag, by which Dagster starts a database's policies in the order of the file."""
    return {"dagster/priority": str(-policies.index(policy))}


def before(policy: Policy, policies: Sequence[Policy]) -> Sequence[Policy]:
    """The policies of the run that this one depends on."""
    return kind_of(policy).after(policy, policies[: policies.index(policy)])


def wait(
    context: dg.AssetExecutionContext,
    policy: Policy,
    policies: Sequence[Policy],
    children: Sequence[Policy] = (),
) -> None:
    """Waits until the policies of this run that come before this one have ended, with success or failure:
    those that it depends on, and its `children` in any order of the file.

    Raises dg.Failure when the archive check of one of them has failed, and dg.RetryRequested to give its
    executor slot to a step that has not started.
    """
    cancellation.stop_with_parent()
    chosen = _steps_of_run(context)
    earlier = before(policy, policies)
    _until_ended(context, chosen & {step(other) for other in (*earlier, *children)})
    # The checks of a policy that failed are not run.
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
            f"{policy.name} did not run: the check {names} failed. Nothing was changed; until VACUUM has "
            "run, the rows archived last can still be read from the table's pages. Restore the files that "
            "the check names from a copy of the storage, then re-execute this run from failure",
            allow_retries=False,
        )


def _until_ended(context: dg.AssetExecutionContext, steps: set[str]) -> None:
    began = time.monotonic()
    while waited_for := steps - _ended(context, _ENDED):
        if time.monotonic() - began > GIVE_WAY_SECONDS and (idle := waited_for - _at_work(context)):
            context.log.info(f"Waiting for {', '.join(sorted(idle))}: retrying later so that it can start")
            raise dg.RetryRequested(TURNS, LOOK_EVERY_SECONDS)
        time.sleep(LOOK_EVERY_SECONDS)


def _at_work(context: dg.AssetExecutionContext) -> set[str]:
    """The steps that have started and are not up for retry."""
    states: dict[str, bool] = {}
    for event in _events(context, _STARTED | _TO_START_AGAIN):
        if event.step_key is not None:
            states[event.step_key] = event.event_type in _STARTED
    return {key for key, started in states.items() if started}


def _ended(context: dg.AssetExecutionContext, kinds: set[dg.DagsterEventType]) -> set[str]:
    return {event.step_key for event in _events(context, kinds) if event.step_key is not None}


def _events(context: dg.AssetExecutionContext, kinds: set[dg.DagsterEventType]) -> Iterator[dg.DagsterEvent]:
    """The run's events of those kinds, oldest first."""
    records = context.instance.get_records_for_run(context.run.run_id, of_type=kinds, ascending=True).records
    for record in records:
        if (event := record.event_log_entry.dagster_event) is not None:
            yield event


def _steps_of_run(context: dg.AssetExecutionContext) -> set[str]:
    snapshot = context.run.execution_plan_snapshot_id
    if snapshot is None:
        return set()
    return set(context.instance.get_execution_plan_snapshot(snapshot).step_keys_to_execute)

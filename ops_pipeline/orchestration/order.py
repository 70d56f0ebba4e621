"""The policies of a run one after another, whatever became of those before.

An edge of Dagster's graph would skip what comes after a step that failed. So the policies have none among
them: each step starts in the order of the file, by its priority, and waits until those before it have ended.
Which tables refer to which only the database knows: a step whose children are yet to start gives its place
to them, as does one that waits for a step that is to be started again.
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

GIVE_WAY_SECONDS = 3.0
"""So long after it began to wait, a step gives its place to one that has not started."""
TURNS = 10_000
"""How often it may do so."""

_ENDED = {
    dg.DagsterEventType.STEP_SUCCESS,
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.STEP_SKIPPED,
}
_STARTED = {dg.DagsterEventType.STEP_START, dg.DagsterEventType.STEP_RESTARTED}
_TO_START_AGAIN = {dg.DagsterEventType.STEP_UP_FOR_RETRY}


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


def wait(
    context: dg.AssetExecutionContext,
    policy: Policy,
    policies: Sequence[Policy],
    children: Sequence[Policy] = (),
) -> None:
    """Returns once those of this run's policies have ended that come before this one, in whatever way: those
    that it depends on, and its `children`, wherever they stand in the file.

    Raises dg.Failure when the archive check of one of them has failed, and dg.RetryRequested to give its
    place to one that is yet to start.
    """
    cancellation.stop_with_parent()
    chosen = _steps_of_run(context)
    earlier = before(policy, policies)
    _until_ended(context, chosen & {step(other) for other in (*earlier, *children)})
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
    began = time.monotonic()
    while waited_for := steps - _ended(context, _ENDED):
        if time.monotonic() - began > GIVE_WAY_SECONDS and (idle := waited_for - _at_work(context)):
            context.log.info(f"Waits for {', '.join(sorted(idle))}, and gives its place to it meanwhile")
            raise dg.RetryRequested(TURNS, LOOK_EVERY_SECONDS)
        time.sleep(LOOK_EVERY_SECONDS)


def _at_work(context: dg.AssetExecutionContext) -> set[str]:
    """The steps that have started and are not to be started again."""
    states: dict[str, bool] = {}
    for event in _events(context, _STARTED | _TO_START_AGAIN):
        if event.step_key is not None:
            states[event.step_key] = event.event_type in _STARTED
    return {key for key, started in states.items() if started}


def _ended(context: dg.AssetExecutionContext, kinds: set[dg.DagsterEventType]) -> set[str]:
    return {event.step_key for event in _events(context, kinds) if event.step_key is not None}


def _events(context: dg.AssetExecutionContext, kinds: set[dg.DagsterEventType]) -> Iterator[dg.DagsterEvent]:
    """The run's events of those kinds, the oldest first."""
    records = context.instance.get_records_for_run(context.run.run_id, of_type=kinds, ascending=True).records
    for record in records:
        if (event := record.event_log_entry.dagster_event) is not None:
            yield event


def _steps_of_run(context: dg.AssetExecutionContext) -> set[str]:
    snapshot = context.run.execution_plan_snapshot_id
    if snapshot is None:
        return set()
    return set(context.instance.get_execution_plan_snapshot(snapshot).step_keys_to_execute)

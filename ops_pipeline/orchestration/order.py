"""Runs the policies of a run one after another, even when earlier ones fail.

Dagster skips steps downstream of a failed step. So there are no edges between policies: each step starts in
the order of the file, by its priority, and waits until the steps before it have ended.
Only the database knows which tables refer to which: a step that waits for a step that has not started, such
as that of a child table or one up for retry, requests a retry of itself so that the other can start.
"""

import time
from collections.abc import Iterator, Mapping, Sequence

import dagster as dg

from ops_pipeline.maintenance.kinds import kind_of
from ops_pipeline.maintenance.result import RefusedError
from ops_pipeline.orchestration import cancellation
from ops_pipeline.orchestration.checks import NOTHING_ARCHIVED
from ops_pipeline.policies.model import Policy

LOOK_EVERY_SECONDS = 0.5
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

    Raises RefusedError when the archive check of one of them has failed or was not evaluated, except where
    the policy's table or column does not exist, and dg.RetryRequested to give its executor
    slot to a step that has not started.
    """
    cancellation.stop_with_parent()
    earlier = before(policy, policies)
    _until_ended(context, _steps_of_run(context) & {step(other) for other in (*earlier, *children)})
    passed = _checks_passed(context)
    failed = [
        f"{check.name} of {other.name}"
        for other in earlier
        for check in kind_of(other).checks(other)
        if check.holds_back and not passed.get((other.identity.path, check.name), True)
    ]
    if failed:
        raise RefusedError(
            f"did not run: the check {', '.join(failed)} failed or could not be evaluated. "
            "Nothing was changed; until VACUUM has run, the rows archived last can still be read from the "
            "table's pages. Fix what the check names (put damaged files back from a copy of the storage), "
            "then re-execute this run from failure"
        )


def _checks_passed(context: dg.AssetExecutionContext) -> Mapping[tuple[tuple[str, ...], str], bool]:
    """Whether each check of this run has passed, by the policy's asset key and its name. One that was not
    evaluated has not, except where the policy's table or column does not exist: nothing was archived then."""
    passed = {
        (tuple(check.asset_key.path), check.check_name): False
        for event in _events(context, {dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED})
        for check in [event.asset_check_planned_data]
    }
    for event in _events(context, {dg.DagsterEventType.ASSET_CHECK_EVALUATION}):
        check = event.asset_check_evaluation_data
        passed[tuple(check.asset_key.path), check.check_name] = (
            check.passed or NOTHING_ARCHIVED in check.metadata
        )
    return passed


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

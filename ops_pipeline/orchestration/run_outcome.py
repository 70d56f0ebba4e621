"""The tags that say what became of a run: its outcome, the policies concerned, and what started it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import dagster as dg

from ops_pipeline.maintenance import kinds
from ops_pipeline.orchestration.run_ownership import TRIGGER, trigger_of

OUTCOME = "ops/outcome"
"""The run's outcome: `done`, or the worst outcome of its policies; `canceled` where it was terminated."""
POLICY = "ops/policy"
"""The policies that are not done, or not yet; where all are, all of them."""
NAMED = 5
"""How many policies are named."""

DONE = "done"
DRY_RUN = "dry_run"
NEEDS_APPROVAL = "needs_approval"
FAILED = "failed"
CANCELED = "canceled"
"""Of a run that was terminated; its policies are interrupted, or did not begin."""

NOT_ENDED = "not_ended"
"""Until each policy has ended or one is worse than done. Also of a run that repeats another one, whose tags
it has, until its first policy has ended."""

REFUSED = "launch_refused"
"""Of a run whose launch was refused, in the UI or by a client; nothing was begun."""

WHOLE_RUN = "the run"
"""What failed where no step did."""

_WORST_LAST = (NEEDS_APPROVAL, "skipped", "stopped", FAILED)
"""Any other outcome is worse than `done` only."""
_FIRST_BAD = 2
"""The rank of the first of them."""
_KINDS = frozenset(kind.name for kind in kinds.KINDS)


@dataclass(frozen=True, slots=True)
class Reported:
    """What a policy has reported in a run: its outcome, why, and the metadata that says more."""

    outcome: str
    reason: str
    metadata: Mapping[str, dg.MetadataValue]


def record(instance: dg.DagsterInstance, run_id: str) -> None:
    """Sets the run's tags to what its policies have reported so far: `outcome` in the metadata of their
    materializations and observations.

    Dagster does not protect a run's tags from steps that write them at the same time, but its event log only
    grows. So the tags are computed from the events, and written again until they agree with them.
    """
    while missing := _missing(instance, run_id):
        instance.add_run_tags(run_id, missing)


def record_end(instance: dg.DagsterInstance, run: dg.DagsterRun, policies: Sequence[str]) -> None:
    """Sets the tags of a run of these policies that failed or was terminated, where what the policies have
    reported does not say so."""
    outcomes = _outcomes(instance, run.run_id)
    if run.status == dg.DagsterRunStatus.CANCELED:
        not_done = [name for name in policies if outcomes.get(name) != DONE]
        tags = {OUTCOME: CANCELED, POLICY: _named(not_done or policies), TRIGGER: trigger_of(run)}
    elif _rank(worst(outcomes)) < _FIRST_BAD:
        tags = {OUTCOME: FAILED, POLICY: _named(policies), TRIGGER: trigger_of(run)}
    else:
        return
    instance.add_run_tags(run.run_id, tags)


def worst(outcomes: Mapping[str, str]) -> str:
    """The worst of the outcomes of the policies."""
    return max(outcomes.values(), key=_rank, default=DONE)


def _rank(outcome: str) -> int:
    if outcome in _WORST_LAST:
        return _FIRST_BAD + _WORST_LAST.index(outcome)
    return int(outcome != DONE)


def _missing(instance: dg.DagsterInstance, run_id: str) -> Mapping[str, str]:
    run = instance.get_run_by_id(run_id)
    if run is None:
        return {}
    outcomes = _outcomes(instance, run_id)
    to_come = [name for name in _planned(instance, run_id) if name not in outcomes]
    outcome = worst(outcomes)
    if to_come and _rank(outcome) < _FIRST_BAD:
        outcome = NOT_ENDED
    not_done = [*(name for name, outcome in outcomes.items() if outcome != DONE), *to_come]
    tags = {OUTCOME: outcome, POLICY: _named(not_done or list(outcomes)), TRIGGER: trigger_of(run)}
    return {tag: value for tag, value in tags.items() if run.tags.get(tag) != value}


def _outcomes(instance: dg.DagsterInstance, run_id: str) -> Mapping[str, str]:
    return {"/".join(key): last.outcome for key, last in reported(instance, run_id).items()}


def _planned(instance: dg.DagsterInstance, run_id: str) -> Sequence[str]:
    """The policies that the run carries out, those of other databases too."""
    planned = {dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED}
    paths = [
        record.event_log_entry.get_dagster_event().asset_materialization_planned_data.asset_key.path
        for record in instance.get_records_for_run(run_id, of_type=planned, ascending=True).records
    ]
    return ["/".join(path) for path in paths if path[1] in _KINDS]  # not the days of the archive


def _named(names: Sequence[str]) -> str:
    more = [f"and {len(names) - NAMED} more"] if len(names) > NAMED else []
    return ", ".join([*names[:NAMED], *more])


def reported(instance: dg.DagsterInstance, run_id: str) -> Mapping[tuple[str, ...], Reported]:
    """What each policy of the run has reported last, by its asset key."""
    kinds = {dg.DagsterEventType.ASSET_MATERIALIZATION, dg.DagsterEventType.ASSET_OBSERVATION}
    reports: dict[tuple[str, ...], Reported] = {}
    for record in instance.get_records_for_run(run_id, of_type=kinds, ascending=True).records:
        entry = record.event_log_entry
        event = entry.asset_materialization or entry.asset_observation
        if event is not None and "outcome" in event.metadata:
            outcome = str(event.metadata["outcome"].value)
            report = Reported(outcome, event.description or "", event.metadata)
            reports[tuple(event.asset_key.path)] = report
    return reports

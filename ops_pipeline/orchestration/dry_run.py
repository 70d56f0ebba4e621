"""Reads what the policies of a dry run would do from the run's observations."""

from collections.abc import Mapping
from dataclasses import dataclass

import dagster as dg


@dataclass(frozen=True, slots=True)
class PlannedPolicy:
    """What a policy would do, in one line. `needs_approval`, `refused`: why it would not; empty where it
    would."""

    in_words: str
    needs_approval: str
    refused: str


def planned_policies(instance: dg.DagsterInstance, run_id: str) -> Mapping[str, PlannedPolicy]:
    """Each policy of the dry run that could be planned, by its name."""
    planned: dict[str, PlannedPolicy] = {}
    observations = {dg.DagsterEventType.ASSET_OBSERVATION}
    for record in instance.get_records_for_run(run_id, of_type=observations, ascending=True).records:
        observation = record.event_log_entry.asset_observation
        if observation is None:
            continue
        said = {name: str(value.value) for name, value in observation.metadata.items()}
        if "in_words" in said:
            planned["/".join(observation.asset_key.path)] = PlannedPolicy(
                said["in_words"],
                said.get("needs_approval", ""),
                said.get("refused", said.get("problem", "")),
            )
    return planned

"""Which of an instance's runs are runs of our policies, and of which databases."""

import dagster as dg

from ops_pipeline import policy
from ops_pipeline.orchestration import night

ENDED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)


def databases_of(policies: policy.Policies, run: dg.DagsterRun) -> list[policy.Database]:
    """The databases that a run works on; none when it is not a run of ours.

    A nightly job says so by its name. What a person starts from the asset graph, and what a backfill
    starts, says so by its assets.
    """
    if run.job_name == night.EVERY_DATABASE:
        return list(policies.databases)
    selected = {key.path[0] for key in run.asset_selection or ()}
    selected |= {check.asset_key.path[0] for check in run.asset_check_selection or ()}
    return [
        each for each in policies.databases if run.job_name == night.job_of(each) or each.name in selected
    ]

"""One evaluation of the sensor that reports ended runs."""

import dagster as dg

from ops_pipeline.orchestration import ended_runs
from ops_pipeline.orchestration.resources import MaintenanceResource
from ops_pipeline.policies.model import Policies


def report(
    instance: dg.DagsterInstance, policies: Policies, progress: ended_runs.Progress | None = None
) -> str:
    return ended_runs.report(instance, MaintenanceResource(), policies, progress or ended_runs.Progress(0))

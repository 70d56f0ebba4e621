"""Turns schedules and sensors on that were turned off."""

import os
from collections.abc import Sequence

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, ScheduleInstigatorData
from dagster._time import get_current_timestamp

from ops_pipeline.diagnosis.sensors import WITHOUT
from ops_pipeline.orchestration import instance as dagster_instance
from ops_pipeline.policies.model import Database
from ops_pipeline.settings import Settings


def turn_on(resolved: Settings, databases: Sequence[Database]) -> list[str]:
    """Turns the schedules of these databases and our sensors on; returns the names of those that were off.

    As the switch in the Dagster UI does, but without the code location, which may be on another host.
    `resolved` comes from `embedded.resolved`. Raises DatabaseUnavailableError.
    """
    os.environ.update(dagster_instance.prepare(resolved))
    schedules = {database.job_name for database in databases}
    with dg.DagsterInstance.get() as instance:
        off = [
            state
            for kind, wanted in ((InstigatorType.SCHEDULE, schedules), (InstigatorType.SENSOR, WITHOUT))
            for state in instance.all_instigator_state(
                instigator_type=kind, instigator_statuses={InstigatorStatus.STOPPED}
            )
            if state.name in wanted
        ]
        for state in off:
            instance.update_instigator_state(_on(state))
    return sorted({state.name for state in off})


def _on(state: InstigatorState) -> InstigatorState:
    running = state.with_status(InstigatorStatus.RUNNING)
    if state.instigator_type is InstigatorType.SENSOR:
        return running  # its cursor says how far it has come
    # From now on: the daemon does not start the runs that were missed meanwhile.
    data = state.instigator_data
    cron = data.cron_schedule if isinstance(data, ScheduleInstigatorData) else ""
    return running.with_data(ScheduleInstigatorData(cron, get_current_timestamp()))

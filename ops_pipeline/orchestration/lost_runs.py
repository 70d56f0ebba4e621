"""Fails runs whose worker is gone, which Dagster would show as started forever."""

from datetime import UTC, datetime

import dagster as dg

from ops_pipeline.diagnosis.dagster_run import SILENT_FOR
from ops_pipeline.maintenance import history
from ops_pipeline.orchestration import run_ownership
from ops_pipeline.orchestration.resources import MaintenanceResource
from ops_pipeline.policies.model import Policies
from ops_pipeline.postgres.advisory_lock import lock_is_held, run_lock
from ops_pipeline.postgres.connection import DatabaseUnavailableError


def definitions(policies: Policies) -> dg.Definitions:
    """A sensor that looks for lost runs every half minute, and so at once when the daemon is restarted."""

    @dg.sensor(
        name="lost_runs",
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Fails runs whose worker is gone, so that they are retried: no session holds their lock "
        "in their databases, and they have written no event for two minutes.",
    )
    def lost_runs(context: dg.SensorEvaluationContext, databases: MaintenanceResource) -> dg.SkipReason:
        lost = [
            record.dagster_run.run_id
            for record in context.instance.get_run_records(
                dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])
            )
            if end_if_lost(context.instance, databases, policies, record.dagster_run)
        ]
        return dg.SkipReason(f"Failed: {', '.join(lost)}" if lost else "Every started run has a worker")

    return dg.Definitions(sensors=[lost_runs])


def end_if_lost(
    instance: dg.DagsterInstance, databases: MaintenanceResource, policies: Policies, run: dg.DagsterRun
) -> bool:
    """Marks the run as failed when its worker is gone; returns whether it did.

    Each step of a live run, on any machine, holds a lock in its database. While one of the databases does not
    answer, the run is left to Dagster's own timeouts.
    """
    concerned = run_ownership.databases_of(policies, run)
    last_event = _last_event(instance, run)
    if not concerned or datetime.now(UTC) - last_event < SILENT_FOR:
        return False
    interrupted: list[str] = []
    for database in concerned:
        try:
            with databases.reach(database, "lost runs", writes=True) as connection:
                if lock_is_held(connection, run_lock(run.run_id)):
                    return False
                interrupted += history.interrupt_dead(connection)
        except DatabaseUnavailableError:
            return False
    where = ", ".join(database.name for database in concerned)
    instance.report_run_failed(
        run,
        f"The worker of this run is gone: no session holds its lock in {where}, and its last event was at "
        f"{last_event:%Y-%m-%d %H:%M:%S} UTC. What was committed is kept; the next run continues from "
        f"there." + (f" Interrupted: {', '.join(interrupted)}." if interrupted else ""),
    )
    return True


def _last_event(instance: dg.DagsterInstance, run: dg.DagsterRun) -> datetime:
    newest = instance.get_records_for_run(run.run_id, limit=1, ascending=False).records
    return datetime.fromtimestamp(newest[0].timestamp if newest else 0.0, UTC)

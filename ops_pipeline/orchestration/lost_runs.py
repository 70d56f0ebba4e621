"""Runs whose machine is gone: Dagster would call them started for ever."""

from datetime import UTC, datetime, timedelta

import dagster as dg

from ops_pipeline.maintenance import history
from ops_pipeline.orchestration import run_ownership
from ops_pipeline.orchestration.resources import MaintenanceResource, run_lock
from ops_pipeline.policies.model import Policies
from ops_pipeline.postgres.advisory_lock import lock_is_held
from ops_pipeline.postgres.connection import DatabaseUnavailableError

SILENT_FOR = timedelta(minutes=2)
"""Between two steps a living run holds no lock for a moment; but then its events are new."""


def definitions(policies: Policies) -> dg.Definitions:
    """A sensor that looks every half minute, and so at once when the daemon starts again."""

    @dg.sensor(
        name="lost_runs",
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Ends runs that nobody carries on any more: no session holds their lock in their "
        "databases, and they have been silent for two minutes. They are then started again.",
    )
    def lost_runs(context: dg.SensorEvaluationContext, databases: MaintenanceResource) -> dg.SkipReason:
        lost = [
            record.dagster_run.run_id
            for record in context.instance.get_run_records(
                dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])
            )
            if end_if_lost(context.instance, databases, policies, record.dagster_run)
        ]
        return dg.SkipReason(f"Ended: {', '.join(lost)}" if lost else "Every run that is started is alive")

    return dg.Definitions(sensors=[lost_runs])


def end_if_lost(
    instance: dg.DagsterInstance, databases: MaintenanceResource, policies: Policies, run: dg.DagsterRun
) -> bool:
    """Marks the run as failed when nobody carries it on, and says whether it did.

    The proof of life is the lock that each step holds in its database, whatever machine it is on. While
    one of the databases cannot be asked, the run is left to Dagster's own limits.
    """
    concerned = run_ownership.databases_of(policies, run)
    last_word = _last_word(instance, run)
    if not concerned or datetime.now(UTC) - last_word < SILENT_FOR:
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
        f"Nobody carries this run on: no session holds its lock in {where}, and its last word was at "
        f"{last_word:%Y-%m-%d %H:%M:%S} UTC. What was committed stays done; the next run goes on from there."
        + (f" Interrupted: {', '.join(interrupted)}." if interrupted else ""),
    )
    return True


def _last_word(instance: dg.DagsterInstance, run: dg.DagsterRun) -> datetime:
    newest = instance.get_records_for_run(run.run_id, limit=1, ascending=False).records
    return datetime.fromtimestamp(newest[0].timestamp if newest else 0.0, UTC)

"""The nightly job and when it runs."""

import dagster as dg

from ops_pipeline import policy

JOB = "nightly_maintenance"

# Each step is a process of its own, so that it can be ended on its own; forked from one that has
# imported everything, it starts in a tenth of a second.
PRELOADED = {"preload_modules": ["ops_pipeline.orchestration.gather"]}
EXECUTOR = dg.multiprocess_executor.configured(
    {"max_concurrent": 2, "start_method": {"forkserver": PRELOADED}}
)


def definitions(policies: policy.Policies) -> dg.Definitions:
    """One job for every policy and check; one schedule, on from the start so that nobody forgets it."""
    job = dg.define_asset_job(
        JOB,
        selection=dg.AssetSelection.all(),
        description="Retention, then orphans, then VACUUM; and whether anything is left.",
        executor_def=EXECUTOR,
    )
    schedule = dg.ScheduleDefinition(
        name="nightly",
        job=job,
        cron_schedule=policies.cron,
        execution_timezone=policies.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Carries every policy out once a night.",
    )
    return dg.Definitions(jobs=[job], schedules=[schedule])

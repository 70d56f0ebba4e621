"""The nightly jobs and when they run: one for each database, so that none fails with another."""

import functools
import operator

import dagster as dg

from ops_pipeline.orchestration import run_history
from ops_pipeline.orchestration.run_ownership import EVERY_DATABASE, job_of
from ops_pipeline.policies.model import Database, Policies

# Each step is a process of its own, so that it can be ended on its own; forked from one that has
# imported everything, it starts in a tenth of a second. The in-process executor would start a step again
# when it is told to stop.
PRELOADED = {"preload_modules": ["ops_pipeline.orchestration.definitions"]}
EXECUTOR = dg.multiprocess_executor.configured(
    {"max_concurrent": 2, "start_method": {"forkserver": PRELOADED}}
)


def definitions(policies: Policies) -> dg.Definitions:
    """A job and a schedule for each database; schedules are on from the start so that nobody forgets them."""
    nightly = [_nightly(database) for database in policies.databases]
    if len(policies.databases) > 1:
        nightly.append(_every_database(policies))
    return dg.Definitions.merge(*nightly)


def _nightly(database: Database) -> dg.Definitions:
    job = dg.define_asset_job(
        job_of(database),
        selection=_policies_of(database) | dg.AssetSelection.assets(run_history.KEY),
        description=f"A night of {database.name}: retention, then orphans, then VACUUM; and whether "
        "anything is left.",
        executor_def=EXECUTOR,
    )
    schedule = dg.ScheduleDefinition(
        name=job_of(database),
        job=job,
        cron_schedule=database.schedule.cron,
        execution_timezone=database.schedule.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Carries every policy of {database.name} out once a night.",
    )
    return dg.Definitions(jobs=[job], schedules=[schedule])


def _policies_of(database: Database) -> dg.AssetSelection:
    """The policies, not the days of their archives: those are for people, and reported by the policies."""
    return dg.AssetSelection.assets(*(policy.identity.path for policy in database.policies))


def _every_database(policies: Policies) -> dg.Definitions:
    job = dg.define_asset_job(
        EVERY_DATABASE,
        selection=functools.reduce(operator.or_, map(_policies_of, policies.databases))
        | dg.AssetSelection.assets(run_history.KEY),
        description="The night of every database in one run, by hand. One that fails keeps none of the rest.",
        executor_def=EXECUTOR,
    )
    return dg.Definitions(jobs=[job])

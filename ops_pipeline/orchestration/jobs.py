"""The nightly jobs and their schedules: one for each database, so that their failures are independent."""

import functools
import operator
import os
from typing import Any

import dagster as dg

from ops_pipeline.orchestration import run_history
from ops_pipeline.orchestration.run_ownership import EVERY_DATABASE, TRIGGER, job_of
from ops_pipeline.policies.model import Database, Policies
from ops_pipeline.postgres import embedded


def _two_steps(_: object) -> dict[str, Any]:
    # Each step is a process of its own, so that it can be ended by itself; forked from a process that has
    # imported everything, it starts in a tenth of a second. The in-process executor would retry a step that
    # is terminated.
    preloaded = {"preload_modules": ["ops_pipeline.orchestration.definitions"]}
    return {"max_concurrent": 2, "start_method": {"forkserver": preloaded}}


EXECUTOR = dg.configured(dg.multiprocess_executor, name="two_steps", config_schema={})(_two_steps)
"""The executor of every job. A run's configuration can change nothing of it."""


def definitions(policies: Policies) -> dg.Definitions:
    """A job and a schedule for each database."""
    nightly = [_nightly(database) for database in policies.databases]
    if len(policies.databases) > 1:
        nightly.append(_every_database(policies))
    return dg.Definitions.merge(*nightly)


def _nightly(database: Database) -> dg.Definitions:
    job = dg.define_asset_job(
        job_of(database),
        selection=_policies_of(database) | dg.AssetSelection.assets(run_history.KEY),
        description=f"Nightly maintenance of {database.name}: retention, then orphans, then VACUUM, and "
        "checks of what remains.",
        executor_def=EXECUTOR,
    )
    schedule = dg.ScheduleDefinition(
        name=job_of(database),
        job=job,
        cron_schedule=database.schedule.cron,
        execution_timezone=database.schedule.timezone,
        default_status=_status(database),
        tags={TRIGGER: "schedule"},
        description=f"Runs every policy of {database.name} on the schedule of policies.yaml.",
    )
    return dg.Definitions(jobs=[job], schedules=[schedule])


def _status(database: Database) -> dg.DefaultScheduleStatus:
    """On from the start: no operator has to turn it on. Off for `dg dev` on a database of one's own, where a
    developer only looks at the graph."""
    if os.environ.get("DAGSTER_IS_DEV_CLI") and not embedded.serves(database.url(os.environ)):
        return dg.DefaultScheduleStatus.STOPPED
    return dg.DefaultScheduleStatus.RUNNING


def _policies_of(database: Database) -> dg.AssetSelection:
    """The policies, without the archive assets: operators materialize those, and the policies report them."""
    return dg.AssetSelection.assets(*(policy.identity.path for policy in database.policies))


def _every_database(policies: Policies) -> dg.Definitions:
    job = dg.define_asset_job(
        EVERY_DATABASE,
        selection=functools.reduce(operator.or_, map(_policies_of, policies.databases))
        | dg.AssetSelection.assets(run_history.KEY),
        description="Nightly maintenance of every database in one run, started by hand. A failure in one "
        "database does not stop the others.",
        executor_def=EXECUTOR,
    )
    return dg.Definitions(jobs=[job])

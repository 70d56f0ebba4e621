"""Builds all Dagster definitions for a policies file."""

import dagster as dg

from ops_pipeline.maintenance import kinds
from ops_pipeline.orchestration import (
    archive_jobs,
    archive_partitions,
    assets,
    ended_runs,
    first_days,
    jobs,
    loaded_policies,
    lost_runs,
    run_history,
    source_assets,
)
from ops_pipeline.orchestration.resources import MaintenanceResource
from ops_pipeline.policies.model import Policies
from ops_pipeline.settings import Settings


def load_definitions(configured: Settings) -> dg.Definitions:
    """The definitions for the policies file of the settings. Raises PolicyError, and never uses an earlier
    version of the file."""
    return build_definitions(kinds.load(configured.policies))


def build_definitions(policies: Policies) -> dg.Definitions:
    """Assets and checks for every policy of every database, with jobs, schedules and sensors."""
    days = first_days.first_days(policies)
    maintained = dg.Definitions(
        assets=[
            *(spec for database in policies.databases for spec in source_assets.table_assets(database)),
            *(asset for database in policies.databases for asset in assets.policy_assets(database)),
            *(
                asset
                for database in policies.databases
                for asset in archive_partitions.archive_assets(database, days)
            ),
        ],
        resources={"databases": MaintenanceResource()},
        executor=jobs.EXECUTOR,
    )
    return dg.Definitions.merge(
        maintained,
        jobs.definitions(policies),
        archive_jobs.definitions(policies),
        run_history.definitions(policies),
        ended_runs.definitions(policies),
        lost_runs.definitions(policies),
        loaded_policies.definitions(policies),
    )

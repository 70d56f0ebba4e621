"""Names our Dagster jobs, and finds out which runs of the Dagster instance belong to our policies."""

import dagster as dg

from ops_pipeline.policies.model import Database, Policies

EVERY_DATABASE = "nightly_maintenance"
"""The job for all databases, which `opsctl run` starts; it exists only where there are several databases."""

ENDED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)


def job_of(database: Database) -> str:
    """The database's nightly job; its schedule has the same name."""
    return f"nightly_{database.name}"


def job_of_all(policies: Policies) -> str:
    """The job that runs every policy of the file."""
    return job_of(policies.databases[0]) if len(policies.databases) == 1 else EVERY_DATABASE


def databases_of(policies: Policies, run: dg.DagsterRun) -> list[Database]:
    """The databases that a run works on; empty when the run does not belong to our policies.

    A nightly job is recognized by its name; a run started from the asset graph or by a backfill by its
    assets."""
    if run.job_name == EVERY_DATABASE:
        return list(policies.databases)
    selected = {key.path[0] for key in run.asset_selection or ()}
    selected |= {check.asset_key.path[0] for check in run.asset_check_selection or ()}
    return [
        database
        for database in policies.databases
        if run.job_name == job_of(database) or database.name in selected
    ]

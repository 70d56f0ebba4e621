"""Names our Dagster jobs, and says which runs of the Dagster instance are ours, and what started them."""

import dagster as dg

from ops_pipeline.policies.model import Database, Policies, Policy
from ops_pipeline.settings import Settings

EVERY_DATABASE = "nightly_maintenance"
"""The job for all databases, which `opsctl run` starts; it exists only where there are several databases."""

TRIGGER = "ops/trigger"
"""The tag that says what started a run."""

RETRY = "dagster/retry_number"

ENDED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)


def job_of(database: Database) -> str:
    """The database's nightly job; its schedule has the same name."""
    return database.job_name


def restore_job_of(database: Database) -> str:
    """The job that restores archived days of the database."""
    return f"restore_archived_days_{database.name}"


def verify_job_of(database: Database) -> str:
    """The job that verifies archived days of the database."""
    return f"verify_archived_days_{database.name}"


def is_of_our_location(run: dg.DagsterRun, configured: Settings) -> bool:
    """Whether the run is of our code location: others may have jobs and assets with the same names."""
    origin = run.remote_job_origin
    return (
        origin is not None
        and origin.repository_origin.code_location_origin.location_name == configured.dagster_location
    )


def works_on_archive(database: Database, run: dg.DagsterRun) -> bool:
    """Whether the run restores or verifies archived days of the database."""
    return run.job_name in {restore_job_of(database), verify_job_of(database)}


def job_of_all(policies: Policies) -> str:
    """The job that runs every policy of the file."""
    return job_of(policies.databases[0]) if len(policies.databases) == 1 else EVERY_DATABASE


def databases_of(policies: Policies, run: dg.DagsterRun) -> list[Database]:
    """The databases that a run works on; empty when the run does not belong to our policies.

    A job is recognized by its name; a run started from the asset graph or by a backfill by its assets."""
    if run.job_name == EVERY_DATABASE:
        return list(policies.databases)
    selected = {key.path[0] for key in run.asset_selection or ()}
    selected |= {check.asset_key.path[0] for check in run.asset_check_selection or ()}
    return [
        database
        for database in policies.databases
        if run.job_name == job_of(database) or works_on_archive(database, run) or database.name in selected
    ]


def policies_of(database: Database, run: dg.DagsterRun) -> list[Policy]:
    """The database's policies that the run carries out. None where it evaluates checks alone, or works on the
    archive."""
    if works_on_archive(database, run):
        return []
    if not run.asset_selection:  # all of the job, or some checks alone
        return [] if run.asset_check_selection else list(database.policies)
    selected = {tuple(key.path) for key in run.asset_selection}
    return [policy for policy in database.policies if tuple(policy.identity.path) in selected]


def trigger_of(run: dg.DagsterRun) -> str:
    """What started the run: `schedule`, `opsctl` or `ui`. An automatic retry has its run's trigger."""
    # A re-execution by hand has the tags of the run that it continues.
    by_hand = run.parent_run_id is not None and RETRY not in run.tags
    return "ui" if by_hand else run.tags.get(TRIGGER, "ui")

"""Records how a run ended where its steps could not: in its tags and in its databases' history."""

from datetime import UTC, datetime

import dagster as dg
import psycopg

from ops_pipeline.maintenance import history
from ops_pipeline.orchestration import run_outcome, run_ownership
from ops_pipeline.orchestration.failure import FailedStep, failed_steps
from ops_pipeline.orchestration.resources import MaintenanceResource, is_dry
from ops_pipeline.policies.model import Database, Policies
from ops_pipeline.postgres.connection import DatabaseUnavailableError


def record(
    instance: dg.DagsterInstance, databases: MaintenanceResource, policies: Policies, ended: dg.RunRecord
) -> list[str]:
    """Records the end of a run that failed or was terminated; returns the problems. Can be repeated.

    A policy whose process died is interrupted, one that failed or did not begin has failed. Of a dry run only
    the tags are recorded, of a launch that was refused nothing.
    """
    run = ended.dagster_run
    if run.status not in {dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}:
        return []
    if run.tags.get(run_outcome.OUTCOME) == run_outcome.REFUSED:
        return []
    concerned = run_ownership.databases_of(policies, run)
    names = [
        "/".join(policy.identity.path)
        for database in concerned
        for policy in run_ownership.policies_of(database, run)
    ]
    if names:
        run_outcome.record_end(instance, run, names)
    failed = run.status == dg.DagsterRunStatus.FAILURE and not is_dry(run)
    steps = failed_steps(instance, policies, run.run_id) if failed else []
    problems: list[str] = []
    for database in concerned:
        try:
            _record_in(databases, database, ended, steps)
        except (DatabaseUnavailableError, psycopg.Error) as error:  # this may be why the run failed
            problems.append(f"its end cannot be recorded in {database.name} ({error})")
    return problems


def _record_in(
    databases: MaintenanceResource, database: Database, ended: dg.RunRecord, steps: list[FailedStep]
) -> None:
    run_id = ended.dagster_run.run_id
    started = ended.start_time
    began = ended.create_timestamp if started is None else datetime.fromtimestamp(started, UTC)
    with databases.reach(database, "alerts", writes=True) as connection:
        history.interrupt_dead(connection)
        begun = {result.policy for result in history.results(connection, dagster_run_id=run_id)}
        for policy in run_ownership.policies_of(database, ended.dagster_run):
            for step in steps:
                own = step.policy == policy.name and step.outcome == run_outcome.FAILED
                # Without a step of its own it did not begin, where the run failed as a whole.
                if own or (step.key == run_outcome.WHOLE_RUN and policy.name not in begun):
                    history.fail(connection, policy.name, step.reason, run_id, began)

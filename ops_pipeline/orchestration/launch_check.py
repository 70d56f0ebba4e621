"""Checks a run's configuration before the run is queued: its approvals, and that it reads no environment."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from ops_pipeline import settings
from ops_pipeline.maintenance import kinds
from ops_pipeline.maintenance.guard import approvals
from ops_pipeline.maintenance.guard.approvals import ApprovalRefusedError
from ops_pipeline.nearest import nearest
from ops_pipeline.orchestration import run_ownership
from ops_pipeline.orchestration.database_limit import NOTHING
from ops_pipeline.orchestration.identity import Person
from ops_pipeline.orchestration.resources import UNIDENTIFIED, MaintenanceResource, configuration
from ops_pipeline.policies.model import Database
from ops_pipeline.postgres.connection import DatabaseUnavailableError


class ConfigurationRefusedError(Exception):
    """A run's configuration has what no run of ours may have; the message names the field."""


def refuse_environment(run: dg.DagsterRun) -> None:
    """Raises ConfigurationRefusedError where the configuration takes a value from an environment variable.

    Dagster accepts `{env: NAME}` for most values, and the step would quote the variable in its messages: the
    login of another database, or a secret. A run of another code location is left to that location.
    """
    if not run_ownership.is_of_our_location(run, settings.load()):
        return
    for field in _read_from_environment(run.run_config, ""):
        raise ConfigurationRefusedError(
            f"{field}: an environment variable is not accepted here; write the value. {NOTHING}"
        )


def _read_from_environment(value: Any, field: str) -> Iterator[str]:
    """The fields that are `{env: NAME}`."""
    if isinstance(value, dict):
        if value.keys() == {"env"}:
            yield field
        for name, inner in value.items():
            yield from _read_from_environment(inner, f"{field}.{name}" if field else str(name))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _read_from_environment(inner, f"{field}[{number}]")


def refuse_unfit_approvals(run: dg.DagsterRun, person: Person | None) -> None:
    """Raises ApprovalRefusedError unless `person`, who starts the run, may approve the plans that its
    configuration lists: each is pending or approved already, and is of a policy and database of this run.

    A run of another code location, whose policies are not in our file, is left to that location.
    """
    configured = configuration(run.run_config)
    wanted = list(map(str, configured.get("approve") or ()))
    if not wanted:
        return
    if person is None:
        raise ApprovalRefusedError(f"{UNIDENTIFIED} {NOTHING}")
    if configured.get("dry_run"):
        raise ApprovalRefusedError(
            f"approve: a dry run approves nothing; remove dry_run or approve. {NOTHING}"
        )
    policies = kinds.load(settings.load().policies)
    own = run_ownership.databases_of(policies, run)
    if not own:
        return
    for plan_id in dict.fromkeys(wanted):
        if not any(_is_fit(run, database, plan_id) for database in own):
            others = [database for database in policies.databases if database not in own]
            raise ApprovalRefusedError(f"{_unknown(plan_id, own, others)} {NOTHING}")


def _is_fit(run: dg.DagsterRun, database: Database, plan_id: str) -> bool:
    """Whether the database has that plan. Raises ApprovalRefusedError when this run must not approve it."""
    with MaintenanceResource().reach(database, "approve") as connection:
        plan = approvals.find(connection, plan_id)
        if plan is None:
            return False
        included = [policy.name for policy in run_ownership.policies_of(database, run)]
        if plan.policy not in included:
            raise ApprovalRefusedError(
                f'approve: plan "{plan_id}" is of {plan.policy}, which this run does not include '
                f"({', '.join(included) or 'no policy'}). {NOTHING} Launch a run of {plan.policy}"
            )
        # A run that is re-executed may have used the plan before it failed at another policy.
        if plan.used_at is not None and run.parent_run_id is None:
            raise ApprovalRefusedError(f"approve: {approvals.used(plan)}. {NOTHING}")
        try:
            approvals.refuse_outdated(plan, approvals.pending(connection))
        except ApprovalRefusedError as error:
            raise ApprovalRefusedError(f"approve: {error}. {NOTHING}") from error
        return True


def _unknown(plan_id: str, own: list[Database], others: list[Database]) -> str:
    for database in others:
        try:
            with MaintenanceResource().reach(database, "approve") as connection:
                if approvals.find(connection, plan_id) is not None:
                    job = run_ownership.job_of(database)
                    return f'approve: plan "{plan_id}" is of database {database.name}. Launch {job} with it.'
        except DatabaseUnavailableError:
            continue  # the sentence below stays true of the databases of this run
    ids: list[str] = []
    for database in own:
        with MaintenanceResource().reach(database, "approve") as connection:
            ids += [plan.id for plan in approvals.pending(connection)]
    there_is = nearest(plan_id, ids) if ids else "no plan is pending approval"
    return f'approve: plan "{plan_id}" does not exist in {_names(own)}; {there_is}.'


def _names(databases: list[Database]) -> str:
    return ", ".join(database.name for database in databases)

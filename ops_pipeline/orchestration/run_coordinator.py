"""Submits runs to Dagster's queue: records who started a run, and refuses what that person may not start."""

import dagster as dg
from dagster._core.run_coordinator import QueuedRunCoordinator, SubmitRunContext
from dagster._core.storage.tags import BACKFILL_ID_TAG, MAX_RETRIES_TAG
from starlette.requests import HTTPConnection

from ops_pipeline.orchestration import identity, run_outcome, run_ownership


class IdentifyingRunCoordinator(QueuedRunCoordinator[dg.DagsterInstance]):
    """Dagster's queue, for runs whose starter is known; `dagster.yaml` names it."""

    def submit_run(self, context: SubmitRunContext) -> dg.DagsterRun:
        """Queues the run, with our tags over what a client wrote there: its starter, what started it, and no
        outcome yet.

        Raises DatabaseLimitError when the starter's key is not for every database of the run,
        ConfigurationRefusedError when its configuration reads the environment, and ApprovalRefusedError when
        it approves plans that it must not; Dagster then fails the run with that reason, and the launchpad
        shows it.
        """
        run = context.dagster_run
        if run.status is dg.DagsterRunStatus.NOT_STARTED and _from_a_client(context):
            person = _person(context)
            self._instance.add_run_tags(run.run_id, _own_tags(run, person))
            # The daemon and every step load this class, and need no policies for it.
            from ops_pipeline.orchestration import database_limit, launch_check  # noqa: PLC0415

            try:
                database_limit.refuse_other_databases(run, person)
                launch_check.refuse_environment(run)
                launch_check.refuse_unfit_approvals(run, person)
            except Exception as error:
                _leave_trace(context, error)
                # Dagster starts failed runs again; the person who sees the reason decides about this one.
                refused = {MAX_RETRIES_TAG: "0", run_outcome.OUTCOME: run_outcome.REFUSED}
                self._instance.add_run_tags(run.run_id, refused)
                raise
        return super().submit_run(context)


def _own_tags(run: dg.DagsterRun, person: identity.Person | None) -> dict[str, str]:
    tags = {run_ownership.TRIGGER: "ui"}
    if person is not None or identity.STARTED_BY in run.tags:
        tags[identity.STARTED_BY] = person.name if person else identity.UNKNOWN
    if run_outcome.OUTCOME in run.tags:
        tags[run_outcome.OUTCOME] = run_outcome.NOT_ENDED
    return tags


def _from_a_client(context: SubmitRunContext) -> bool:
    """Whether a client wrote the run's tags: it asked for the run, or for the backfill that the daemon does.

    A retry, a schedule and `opsctl` are ours.
    """
    run = context.dagster_run
    of_backfill = BACKFILL_ID_TAG in run.tags and run.parent_run_id is None
    return of_backfill or _request(context) is not None


def _person(context: SubmitRunContext) -> identity.Person | None:
    """The person whom the sign-in middleware has put into the request; None without it, and of a backfill."""
    request = _request(context)
    person: identity.Person | None = None if request is None else request.scope.get(identity.IN_SCOPE)
    return person


def _leave_trace(context: SubmitRunContext, error: Exception) -> None:
    from ops_pipeline.maintenance.guard.approvals import ApprovalRefusedError  # noqa: PLC0415
    from ops_pipeline.orchestration.database_limit import DatabaseLimitError  # noqa: PLC0415
    from ops_pipeline.orchestration.launch_check import ConfigurationRefusedError  # noqa: PLC0415

    request = _request(context)
    refused: identity.Refused | None = request.scope.get(identity.REFUSED_IN_SCOPE) if request else None
    if refused is not None and isinstance(error, DatabaseLimitError):
        refused.outside_of_limit.append(context.dagster_run.job_name)
    elif refused is not None and isinstance(error, ApprovalRefusedError | ConfigurationRefusedError):
        refused.unfit.append(context.dagster_run.job_name)


def _request(context: SubmitRunContext) -> HTTPConnection | None:
    source = getattr(context.workspace, "source", None)
    return source if isinstance(source, HTTPConnection) else None

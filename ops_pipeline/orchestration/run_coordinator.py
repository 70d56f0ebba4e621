"""Submits runs to Dagster's queue: records who started a run, and refuses approvals that cannot be given."""

import dagster as dg
from dagster._core.run_coordinator import QueuedRunCoordinator, SubmitRunContext
from dagster._core.storage.tags import BACKFILL_ID_TAG, MAX_RETRIES_TAG
from starlette.requests import HTTPConnection

from ops_pipeline.orchestration import identity


class IdentifyingRunCoordinator(QueuedRunCoordinator[dg.DagsterInstance]):
    """Dagster's queue, for runs whose starter is known; `dagster.yaml` names it."""

    def submit_run(self, context: SubmitRunContext) -> dg.DagsterRun:
        """Queues the run, with its starter in the tag `identity.STARTED_BY`.

        Raises ApprovalRefusedError when its configuration approves plans that it must not; Dagster then fails
        the run with that reason, and the launchpad shows it.
        """
        run = context.dagster_run
        if run.status is dg.DagsterRunStatus.NOT_STARTED:
            person = self._record_starter(run, context)
            # The daemon and every step load this class, and need no policies for it.
            from ops_pipeline.orchestration import launch_check  # noqa: PLC0415

            try:
                launch_check.refuse_unfit_approvals(run, person)
            except Exception:
                # Dagster starts failed runs again; the person who sees the reason decides about this one.
                self._instance.add_run_tags(run.run_id, {MAX_RETRIES_TAG: "0"})
                raise
        return super().submit_run(context)

    def _record_starter(self, run: dg.DagsterRun, context: SubmitRunContext) -> str | None:
        """The person who started the run. What a client wrote into the tag is overwritten."""
        request = getattr(context.workspace, "source", None)
        if isinstance(request, HTTPConnection):
            person: str | None = request.scope.get(identity.IN_SCOPE)
        elif BACKFILL_ID_TAG in run.tags and run.parent_run_id is None:
            person = None  # submitted by the daemon, with the tags that a client gave to the backfill
        else:
            return identity.started_by(run)  # of the daemon, of `opsctl`, or of the run that is retried
        if person is not None or identity.STARTED_BY in run.tags:
            tag = {identity.STARTED_BY: person or identity.UNKNOWN}
            self._instance.add_run_tags(run.run_id, tag)
        return person

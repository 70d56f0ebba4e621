"""Starts the nightly job, or a part of it, and waits for it to end.

The run has the origin of those that Dagster launches itself, so that the UI lists and re-executes it.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.definitions.reconstruct import ReconstructableJob, ReconstructableRepository
from dagster._core.execution.api import execute_run_iterator
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.run_coordinator import QueuedRunCoordinator
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import EmptyWorkspaceTarget
from dagster_postgres.utils import DagsterPostgresException
from sqlalchemy.exc import DBAPIError

from ops_pipeline import INSTALLATION, settings
from ops_pipeline.audit.person import person
from ops_pipeline.diagnosis.daemon import LATE_SECONDS
from ops_pipeline.orchestration import identity, run_end, run_ownership
from ops_pipeline.orchestration import instance as dagster_instance
from ops_pipeline.orchestration.dry_run import PlannedPolicy, planned_policies
from ops_pipeline.orchestration.failure import FailedStep, failed_steps
from ops_pipeline.orchestration.resources import MaintenanceResource
from ops_pipeline.policies.model import Database, Policies, Policy
from ops_pipeline.postgres.connection import DatabaseUnavailableError

REPOSITORY = "__repository__"
"""The name that Dagster gives to the definitions of a code location."""
QUIET = {"console": {"config": {"log_level": "CRITICAL"}}}
DAEMON = "QUEUED_RUN_COORDINATOR"
"""The daemon that starts queued runs."""
LOOK_EVERY_SECONDS = 0.5
LOST = (
    "Nothing is lost: what run {run} has committed is kept, and Dagster's daemon or the next run continues "
    "from there. When the database answers again, see: opsctl status"
)


@dataclass(frozen=True, slots=True)
class Selection:
    """What to run: these policies, or without any, all of the databases'."""

    databases: Sequence[Database]
    policies: Sequence[Policy] = ()
    dry_run: bool = False

    @property
    def job(self) -> str:
        """The job that has them."""
        one = len(self.databases) == 1
        return run_ownership.job_of(self.databases[0]) if one else run_ownership.EVERY_DATABASE

    @property
    def assets(self) -> frozenset[dg.AssetKey] | None:
        """The selected policies' assets; None for the whole job."""
        return frozenset(dg.AssetKey(policy.identity.path) for policy in self.policies) or None

    @property
    def configuration(self) -> dict[str, object]:
        """The run's configuration."""
        dry_run = {"resources": {"databases": {"config": {"dry_run": True}}}} if self.dry_run else {}
        return {"loggers": QUIET, **dry_run}


@dataclass(frozen=True, slots=True)
class EndedRun:
    """A Dagster run that has ended, with its failed steps. `planned`: of a dry run, what each policy would
    do."""

    id: str
    status: str
    failures: tuple[FailedStep, ...] = ()
    planned: Mapping[str, PlannedPolicy] = field(default_factory=dict)

    @property
    def succeeded(self) -> bool:
        return self.status == dg.DagsterRunStatus.SUCCESS.value

    @property
    def canceled(self) -> bool:
        """Whether it was interrupted here, or terminated in the UI."""
        return self.status == dg.DagsterRunStatus.CANCELED.value


def run_nightly_job(
    resolved: settings.Settings,
    policies: Policies,
    selection: Selection,
    *,
    started: Callable[[str], None],
    report: Callable[[str], None],
) -> EndedRun:
    """Runs what is selected as one Dagster run and returns when it has ended.

    While Dagster's daemon is alive the run goes through its queue, so that one run at a time works on a
    database; otherwise it is executed by this process. `started` is called with the run's id, `report` with
    what a person who waits should know. SIGINT and SIGTERM cancel the run. `resolved` comes from
    `embedded.resolved`. Raises DatabaseUnavailableError when Dagster's database stops answering.
    """
    os.environ.update(dagster_instance.prepare(resolved))
    with dg.DagsterInstance.get() as instance:
        launch = _Launch(instance, job(selection.job), report)
        with _losing("no run was started"):
            run = launch.create(resolved.dagster_location, selection)
        started(run.run_id)
        with _losing(LOST.format(run=run.run_id)):
            return _ended(launch, run, policies, dry_run=selection.dry_run)


@contextmanager
def _losing(then: str) -> Iterator[None]:
    """Raises DatabaseUnavailableError, with what that means, where Dagster's database does not answer."""
    try:
        yield
    except (DBAPIError, DagsterPostgresException) as error:
        cause = str(getattr(error, "orig", None) or error.__cause__ or error).strip().partition("\n")[0]
        raise DatabaseUnavailableError(f"Dagster's database does not answer: {cause}. {then}") from error


def _ended(launch: "_Launch", run: dg.DagsterRun, policies: Policies, *, dry_run: bool) -> EndedRun:
    instance = launch.instance
    try:
        if _has_queue(instance) and _daemon_is_alive(instance):
            launch.queue(run)
        else:
            launch.execute(run)
    except KeyboardInterrupt:
        launch.cancel(run.run_id)
    if (record := instance.get_run_record_by_id(run.run_id)) is not None:
        # Where no daemon runs, no sensor does this. What it cannot record, the failure below says.
        run_end.record(instance, MaintenanceResource(), policies, record)
    ended = launch.current(run.run_id)
    failed = ended.status is dg.DagsterRunStatus.FAILURE
    return EndedRun(
        run.run_id,
        ended.status.value,
        tuple(failed_steps(instance, policies, run.run_id)) if failed else (),
        planned_policies(instance, run.run_id) if dry_run else {},
    )


def job(name: str) -> ReconstructableJob:
    """The job as the code location has it; the processes of its steps load it again."""
    # Without a working directory Dagster removes the first entry of sys.path, which may be PYTHONPATH's.
    installation = str(INSTALLATION)
    repository = ReconstructableRepository.for_module("ops_pipeline.definitions", "defs", installation)
    return repository.get_reconstructable_job(name)


def _has_queue(instance: dg.DagsterInstance) -> bool:
    return isinstance(instance.run_coordinator, QueuedRunCoordinator)


def _daemon_is_alive(instance: dg.DagsterInstance) -> bool:
    heartbeat = instance.get_daemon_heartbeats().get(DAEMON)
    if heartbeat is None:
        return False
    silent_for = datetime.now(UTC) - datetime.fromtimestamp(heartbeat.timestamp, UTC)
    return silent_for < timedelta(seconds=LATE_SECONDS)


@dataclass(frozen=True, slots=True)
class _Launch:
    instance: dg.DagsterInstance
    job: ReconstructableJob
    report: Callable[[str], None]

    def create(self, location: str, selection: Selection) -> dg.DagsterRun:
        """The run, not started. Its origin names the code location; its launcher looks it up by that
        name, so no address is needed."""
        definition = self.job.get_definition()
        repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(location), REPOSITORY)
        return self.instance.create_run_for_job(
            definition,
            run_config=selection.configuration,
            tags={
                **definition.run_tags,
                run_ownership.TRIGGER: "opsctl",
                identity.STARTED_BY: person(),
            },
            asset_selection=selection.assets,
            remote_job_origin=RemoteJobOrigin(repository, selection.job),
            job_code_origin=self.job.get_python_origin(),
        )

    def execute(self, run: dg.DagsterRun) -> None:
        """Executes the run by this process."""
        for event in execute_run_iterator(self.job, run, self.instance):
            # Without this, Dagster takes the interrupt for a failure.
            if event.is_engine_event and "steps_interrupted" in event.engine_event_data.metadata:
                self.instance.report_run_canceling(run, "Interrupted: opsctl got SIGINT or SIGTERM")

    def queue(self, run: dg.DagsterRun) -> None:
        """Has the daemon start the run, and waits for it to end. Executes it here if the daemon is gone."""
        with WorkspaceProcessContext(self.instance, EmptyWorkspaceTarget()) as workspace:
            self.instance.submit_run(run.run_id, workspace.create_request_context())
        self.report(f"Dagster's daemon runs it: {run.run_id}")
        waits = False
        while (current := self.current(run.run_id)).status not in run_ownership.ENDED:
            if current.status is dg.DagsterRunStatus.QUEUED:
                if not _daemon_is_alive(self.instance):
                    self.report("Dagster's daemon has stopped; this process executes the run")
                    self.execute(self._dequeued(current))
                    return
                if not waits and _waits_for_others(self.instance, current):
                    waits = True
                    self.report("It waits in Dagster's queue for another run of the database to end")
            time.sleep(LOOK_EVERY_SECONDS)

    def _dequeued(self, run: dg.DagsterRun) -> dg.DagsterRun:
        starting = dg.DagsterEventType.RUN_STARTING.value
        self.instance.report_dagster_event(dg.DagsterEvent(starting, run.job_name), run_id=run.run_id)
        return self.current(run.run_id)

    def cancel(self, run_id: str) -> None:
        """Cancels the run in whichever process it is, and waits for its end; until a second interrupt."""
        run = self.current(run_id)
        if run.status in run_ownership.ENDED:
            return
        self.report(
            "Canceling the run: its statement is canceled and its batch rolled back. Committed batches are "
            "kept"
        )
        if run.status in {dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.QUEUED}:
            self.instance.report_run_canceled(run)
            return
        if not self.instance.run_coordinator.cancel_run(run_id):
            self.instance.report_run_canceled(run, "Canceled: the worker of the run did not answer")
        while self.current(run_id).status not in run_ownership.ENDED:
            time.sleep(LOOK_EVERY_SECONDS)

    def current(self, run_id: str) -> dg.DagsterRun:
        """The run as it is now. Raises LookupError when it was deleted."""
        run = self.instance.get_run_by_id(run_id)
        if run is None:
            raise LookupError(f"Dagster run {run_id} was deleted while it was running")
        return run


def _waits_for_others(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    others = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]), limit=10)
    return any(other.run_id != run.run_id for other in others)

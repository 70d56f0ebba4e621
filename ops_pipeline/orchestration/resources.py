"""The Dagster resource through which steps connect to the databases of the policies."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import dagster as dg
from dagster._utils.interrupts import raise_interrupts_as
from pydantic import Field

from ops_pipeline import settings
from ops_pipeline.maintenance import kinds
from ops_pipeline.maintenance.guard import approvals
from ops_pipeline.maintenance.plan import Plan, Unplanned
from ops_pipeline.orchestration import identity
from ops_pipeline.orchestration.run_coordinator import IdentifyingRunCoordinator
from ops_pipeline.policies.connection import connect_to
from ops_pipeline.policies.model import Database, Policy
from ops_pipeline.postgres import embedded
from ops_pipeline.postgres.advisory_lock import run_lock, share_lock
from ops_pipeline.postgres.connection import Connection, DatabaseUnavailableError
from ops_pipeline.postgres.ready import refuse_unready

UNIDENTIFIED = (
    "approve: it is unknown who started this run, so nothing can be approved with it. Run "
    "`opsctl approve ID`, or sign in to the Dagster UI that `opsctl up` or "
    "`python -m ops_pipeline.orchestration.webserver` serves and start the run there."
)


class MaintenanceResource(dg.ConfigurableResource[None]):
    """The databases of `policies.yaml`; their URLs come from the environment when a step runs.

    Its configuration for the launchpad:

        resources: {databases: {config: {dry_run: true}}}
        resources: {databases: {config: {approve: [bfa1b2c4]}}}

    The person who is signed in approves.
    """

    dry_run: bool = Field(
        default=False,
        description="Plan each policy without running it: reports what it would do and deletes nothing.",
    )
    approve: list[str] = Field(
        default=[],
        description="Ids of the plans to approve for this run. The audit log records that you did.",
    )

    @contextmanager
    def connect(
        self, wanted: Database, policy: Policy, step: str, run_id: str, *, writes: bool = True
    ) -> Iterator[Connection]:
        """A connection for one step of the policy, after the policy was checked against its tables.

        Until it is closed, it holds `run_lock(run_id)`, which shows that the run has a live worker.
        Raises DatabaseUnavailableError, also when the step `writes` and the database cannot be written to,
        and PolicyError when the policy does not match the tables; then nothing was done.
        """
        with self.reach(wanted, step, writes=writes) as connection:
            share_lock(connection, run_lock(run_id))
            kinds.check(connection, [policy])
            yield connection

    def plan(self, connection: Connection, policy: Policy) -> Plan | Unplanned:
        """What the policy would do now, and whether it needs approval. Reads only."""
        (planned,) = kinds.plan(connection, [policy], archive_url=settings.load().archive_url)
        return planned

    def approve_for(self, maintained: Database, policy: Policy) -> None:
        """Approves those plans of the policy that the run's configuration lists; ignores other policies'
        plans.

        The run's starter approves, in the policy's database and with its login. Raises ApprovalRefusedError,
        also when the starter is unknown; then nothing was deleted.
        """
        if not self.approve:
            return
        by = self._starter()
        with self.reach(maintained, "approve", writes=True) as connection:
            pending = {plan.id for plan in approvals.pending(connection) if plan.policy == policy.name}
            for plan_id in pending.intersection(self.approve):
                approvals.approve(connection, plan_id, by)

    def _starter(self) -> str:
        context = self.get_resource_context()
        run, instance = context.run, context.instance
        # Another coordinator would leave the tag as a client wrote it.
        if (
            run is None
            or instance is None
            or not isinstance(instance.run_coordinator, IdentifyingRunCoordinator)
        ):
            raise approvals.ApprovalRefusedError(
                f"{UNIDENTIFIED} dagster.yaml in DAGSTER_HOME must have the run_coordinator of "
                "ops_pipeline/orchestration/dagster.yaml for it"
            )
        if (person := identity.started_by(run)) is None:
            raise approvals.ApprovalRefusedError(UNIDENTIFIED)
        return person

    @contextmanager
    def reach(self, wanted: Database, step: str, *, writes: bool = False) -> Iterator[Connection]:
        """A connection only. Raises DatabaseUnavailableError, which names the database, and its subclasses
        StandbyError and NotMigratedError when the step `writes`.

        psycopg does not know Dagster's interrupt exception: it would close the connection while the statement
        continues on the server. On a KeyboardInterrupt it cancels the statement first.
        """
        with (
            raise_interrupts_as(KeyboardInterrupt),
            embedded.resolved(settings.load()) as resolved,
            ExitStack() as opened,
        ):
            environment = settings.environment(resolved)
            try:
                connection = opened.enter_context(
                    connect_to(wanted, environment, f"ops {step}", lock_timeout="500ms")
                )
                if writes:
                    refuse_unready(connection)
            except DatabaseUnavailableError as error:
                raise type(error)(f"{wanted.name}: {error}") from error
            yield connection


def configuration(run_config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The resource's part of a run's configuration, as it was written."""
    resource = (run_config.get("resources") or {}).get("databases") or {}
    configured: Mapping[str, Any] = resource.get("config") or {}
    return configured


def is_dry(run: dg.DagsterRun) -> bool:
    """Whether the run is a dry run."""
    return bool(configuration(run.run_config).get("dry_run"))

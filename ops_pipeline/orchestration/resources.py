"""How a Dagster step reaches the databases that the policies name."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import dagster as dg
from dagster._utils.interrupts import raise_interrupts_as
from pydantic import Field

from ops_pipeline import settings
from ops_pipeline.maintenance import kinds
from ops_pipeline.maintenance.guard import approvals
from ops_pipeline.maintenance.plan import Plan, Unplanned
from ops_pipeline.policies.model import Database, Policy
from ops_pipeline.postgres import embedded
from ops_pipeline.postgres.advisory_lock import share_lock
from ops_pipeline.postgres.connection import Connection, DatabaseUnavailableError, connect
from ops_pipeline.postgres.ready import refuse_unready


class MaintenanceResource(dg.ConfigurableResource[None]):
    """The databases of `policies.yaml`; where they are comes from the environment when a step runs.

    Its configuration is what an operator writes in the launchpad:

        resources: {databases: {config: {dry_run: true}}}
        resources: {databases: {config: {approve: [3fa1b2c4], approved_by: ada}}}
    """

    dry_run: bool = Field(
        default=False,
        description="Only say what each policy would do: observations, no materialization, nothing removed.",
    )
    approve: list[str] = Field(
        default=[],
        description="Plans that the guard has stopped and that this run may carry out, by their ids.",
    )
    approved_by: str = Field(default="", description="Who approves; it is kept in the audit log.")

    @contextmanager
    def connect(
        self, wanted: Database, policy: Policy, step: str, run_id: str, *, writes: bool = True
    ) -> Iterator[Connection]:
        """A connection for one step of that policy, after it was held against its tables.

        While it lasts it holds `run_lock(run_id)`: the proof that somebody carries the run on.

        Raises DatabaseUnavailableError, also where the step `writes` and that cannot be, and PolicyError when
        the policy does not fit; nothing is done then.
        """
        with self.reach(wanted, step, writes=writes) as connection:
            share_lock(connection, run_lock(run_id))
            kinds.check(connection, [policy])
            yield connection

    def plan(self, connection: Connection, policy: Policy) -> Plan | Unplanned:
        """What the policy would do now, and whether the guard would let it. Reads only."""
        (planned,) = kinds.plan(connection, [policy], archive_url=settings.load().archive_url)
        return planned

    def approve_for(self, maintained: Database, policy: Policy) -> None:
        """Approves the plans of that policy that the run was given. Plans of other policies are left alone.

        Raises ApprovalRefusedError, also when nobody says who approves; then nothing has been removed.
        """
        if not self.approve:
            return
        if not self.approved_by.strip():
            raise approvals.ApprovalRefusedError(
                "approved_by is missing: write your name beside approve; the audit log keeps it"
            )
        with self.reach(maintained, "approve", writes=True) as connection:
            waiting = {plan.id for plan in approvals.pending(connection) if plan.policy == policy.name}
            for plan_id in waiting.intersection(self.approve):
                approvals.approve(connection, plan_id, self.approved_by)

    @contextmanager
    def reach(self, wanted: Database, step: str, *, writes: bool = False) -> Iterator[Connection]:
        """A connection, and nothing more. Raises DatabaseUnavailableError, which names the database; of its
        kind StandbyError and NotMigratedError where the step `writes`.

        What Dagster interrupts a step with, psycopg does not know: it would drop the connection and leave
        the statement to the server. For a KeyboardInterrupt it stops the statement first.
        """
        with raise_interrupts_as(KeyboardInterrupt), embedded.resolved(settings.load()) as resolved:
            url = wanted.url(settings.environment(resolved))
            with ExitStack() as opened:
                try:
                    connection = opened.enter_context(connect(url, f"ops {step}", lock_timeout="500ms"))
                    if writes:
                        refuse_unready(connection)
                except DatabaseUnavailableError as error:
                    raise type(error)(f"{wanted.name}: {error}") from error
                yield connection


def run_lock(run_id: str) -> str:
    """The advisory lock that every step of that Dagster run holds, shared, in the database it works on."""
    return f"ops: dagster run {run_id}"

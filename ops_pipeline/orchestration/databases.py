"""How a Dagster step reaches the databases that the policies name."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import dagster as dg
from dagster._utils.interrupts import raise_interrupts_as
from pydantic import Field

from ops_pipeline import database, embedded, policy, settings
from ops_pipeline.maintenance import approvals, catalog
from ops_pipeline.maintenance.plan import Planned, Unplanned, plan


class Databases(dg.ConfigurableResource[None]):
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
    def connect(self, wanted: policy.Database, step: str, run_id: str) -> Iterator[database.Connection]:
        """A connection for one step, after the database's policies were held against its tables.

        While it lasts it holds `run_lock(run_id)`: the proof that somebody carries the run on.

        Raises DatabaseUnavailableError, and PolicyError when a policy does not fit, before anything is done.
        """
        with self.reach(wanted, step) as connection:
            database.share_lock(connection, run_lock(run_id))
            catalog.check(connection, wanted)
            yield connection

    def plan(
        self, connection: database.Connection, of: policy.Database, rule: policy.Policy
    ) -> Planned | Unplanned:
        """What the policy would do now, and whether the guard would let it. Reads only."""
        (planned,) = plan(connection, replace(of, policies=(rule,)))
        return planned

    def approve_for(self, maintained: policy.Database, rule: policy.Policy) -> None:
        """Approves the plans of that policy that the run was given. Plans of other policies are left alone.

        Raises ApprovalRefusedError, also when nobody says who approves; then nothing has been removed.
        """
        if not self.approve:
            return
        if not self.approved_by.strip():
            raise approvals.ApprovalRefusedError(
                "approved_by is missing: write your name beside approve; the audit log keeps it"
            )
        with self.reach(maintained, "approve") as connection:
            waiting = {each.id for each in approvals.waiting(connection) if each.policy == rule.name}
            for plan_id in waiting.intersection(self.approve):
                approvals.approve(connection, plan_id, self.approved_by)

    @contextmanager
    def reach(self, wanted: policy.Database, step: str) -> Iterator[database.Connection]:
        """A connection, and nothing more. Raises DatabaseUnavailableError, which names the database.

        What Dagster interrupts a step with, psycopg does not know: it would drop the connection and leave
        the statement to the server. For a KeyboardInterrupt it stops the statement first.
        """
        with raise_interrupts_as(KeyboardInterrupt), embedded.resolved(settings.load()) as resolved:
            url = wanted.url(settings.environment(resolved))
            try:
                connection = database.connect(url, f"ops {step}", lock_timeout="500ms")
            except database.DatabaseUnavailableError as error:
                raise database.DatabaseUnavailableError(f"{wanted.name}: {error}") from error
            with connection:
                yield connection


def run_lock(run_id: str) -> str:
    """The advisory lock that every step of that Dagster run holds, shared, in the database it works on."""
    return f"ops: dagster run {run_id}"

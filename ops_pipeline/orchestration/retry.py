"""Runs a policy, reconnecting when the connection is lost and continuing from the saved position."""

import dagster as dg
import stamina
from stamina.instrumentation import LoggingOnRetryHook, set_on_retry_hooks

from ops_pipeline.maintenance import kinds
from ops_pipeline.maintenance.result import RunResult
from ops_pipeline.orchestration import cancellation
from ops_pipeline.orchestration.resources import MaintenanceResource
from ops_pipeline.policies.model import Database, Policy
from ops_pipeline.postgres.connection import connection_was_lost

TRIES = 8
FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 20.0
"""About a minute in all: longer than a restart of the server and most failovers take. Also for the first
connection: a step may begin during a failover."""

# By default stamina logs to standard output, where `opsctl --json` prints its object.
set_on_retry_hooks([LoggingOnRetryHook])


class _StillHeldError(Exception):
    """The session of the lost or killed try still holds the policy's lock; it will release it soon."""


def carry_out(
    databases: MaintenanceResource, maintained: Database, policy: Policy, context: dg.AssetExecutionContext
) -> RunResult:
    """Approves what the run's configuration lists, and runs the policy.

    Where the database cannot be reached or is a standby, or the connection is lost, it connects again with
    exponential backoff and continues.

    Raises ApprovalRefusedError, and the last try's DatabaseUnavailableError or psycopg.Error.
    """
    tries, reason = 0, ""
    again = context.retry_number > 0 or context.run.parent_run_id is not None
    cancellation.stop_with_parent()

    def passes_by_itself(error: Exception) -> bool:
        nonlocal reason
        reason = str(error).strip().rstrip(".")
        return isinstance(error, _StillHeldError) or connection_was_lost(error)

    for attempt in stamina.retry_context(
        on=passes_by_itself,
        attempts=TRIES,
        timeout=None,
        wait_initial=FIRST_WAIT_SECONDS,
        wait_max=LONGEST_WAIT_SECONDS,
    ):
        with attempt:
            tries = attempt.num
            if tries > 1:
                context.log.warning(
                    f"{reason}. What was committed is kept; reconnecting to {maintained.name} to continue "
                    f"from there (try {tries} of {TRIES})."
                )
            databases.approve_for(maintained, policy)
            with (
                databases.connect(maintained, policy, policy.name, context.run.run_id) as connection,
                cancellation.stopping_on_server(databases, maintained, policy),
            ):
                result = kinds.carry_out(
                    connection, policy, dagster_run_id=context.run.run_id, report=context.log.info
                )
            if result.outcome == "skipped" and (again or tries > 1):
                raise _StillHeldError(result.stopped_reason)
    return result

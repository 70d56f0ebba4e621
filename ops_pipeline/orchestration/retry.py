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
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 20.0
"""About a minute in all: longer than a restart of the server and most failovers take."""
TRIES_TO_REACH = 5
"""About ten seconds: a database that this step never reached is likely to be down for longer."""

# By default stamina logs to standard output, where `opsctl --json` prints its object.
set_on_retry_hooks([LoggingOnRetryHook])


class _StillHeldError(Exception):
    """The session of the lost or killed try still holds the policy's lock; it will release it soon."""


def carry_out(
    databases: MaintenanceResource, maintained: Database, policy: Policy, context: dg.AssetExecutionContext
) -> RunResult:
    """Runs the policy. When the connection is lost, reconnects with growing pauses and continues.

    Raises the last try's error: DatabaseUnavailableError or psycopg.Error.
    """
    reached, tries = False, 0
    again = context.retry_number > 0 or context.run.parent_run_id is not None
    cancellation.stop_with_parent()

    def passes_by_itself(error: Exception) -> bool:
        if not reached and tries >= TRIES_TO_REACH:
            return False
        return isinstance(error, _StillHeldError) or connection_was_lost(error)

    for attempt in stamina.retry_context(
        on=passes_by_itself,
        attempts=TRIES,
        timeout=None,
        wait_initial=FIRST_PAUSE_SECONDS,
        wait_max=LONGEST_PAUSE_SECONDS,
    ):
        with attempt:
            tries = attempt.num
            if tries > 1:
                context.log.warning(
                    f"{maintained.name} does not answer, the connection was lost, or the lost session still "
                    "holds the policy's lock. What was committed is kept; reconnecting to continue from "
                    f"there (try {tries} of {TRIES})."
                )
            with (
                databases.connect(maintained, policy, policy.name, context.run.run_id) as connection,
                cancellation.stopping_on_server(databases, maintained, policy),
            ):
                reached = True
                result = kinds.carry_out(
                    connection, policy, dagster_run_id=context.run.run_id, report=context.log.info
                )
            if result.outcome == "skipped" and (again or tries > 1):
                raise _StillHeldError(result.stopped_reason)
    return result

"""A policy carried out across lost connections: reconnect, and go on at the saved place."""

import dagster as dg
import stamina

from ops_pipeline import database, policy
from ops_pipeline.maintenance.perform import perform
from ops_pipeline.maintenance.result import Result
from ops_pipeline.orchestration.databases import Databases

TRIES = 8
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 20.0
"""About a minute in all, which a restart of the server and most failovers stay below."""


class _StillHeldError(Exception):
    """The session that was lost still holds the policy's lock: the server has not noticed yet."""


def carry_out(
    databases: Databases, maintained: policy.Database, rule: policy.Policy, context: dg.AssetExecutionContext
) -> Result:
    """Performs the policy. When the connection is lost, connects again with growing pauses and goes on.

    Raises what the last try raised: DatabaseUnavailableError or psycopg.Error.
    """
    for attempt in stamina.retry_context(
        on=_passes_by_itself,
        attempts=TRIES,
        timeout=None,
        wait_initial=FIRST_PAUSE_SECONDS,
        wait_max=LONGEST_PAUSE_SECONDS,
    ):
        with attempt:
            if attempt.num > 1:
                context.log.warning(
                    f"The connection to {maintained.name} was lost. What was committed stays done; "
                    f"going on from there (try {attempt.num} of {TRIES})."
                )
            with databases.connect(maintained, rule.name, context.run.run_id) as connection:
                result = perform(connection, rule, dagster_run_id=context.run.run_id, report=context.log.info)
            if result.outcome == "skipped" and attempt.num > 1:
                raise _StillHeldError(result.stopped_reason)
    return result


def _passes_by_itself(error: Exception) -> bool:
    return isinstance(error, _StillHeldError) or database.connection_was_lost(error)

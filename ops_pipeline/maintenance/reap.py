"""Runs that died without a word. A policy's advisory lock is the proof of life: it ends with its session."""

import sql
from ops_pipeline.maintenance import history
from ops_pipeline.postgres.connection import Connection


def interrupt_dead(connection: Connection) -> list[str]:
    """Marks the runs that nobody carries on any more as interrupted, and says of which policies they were.

    Nothing they committed is undone: the next run of the policy goes on from their last batch. What they
    had removed is accounted for in the audit log.
    """
    with connection.transaction():
        dead = connection.execute(sql.get("maintenance/interrupt_dead")).fetchall()
        for run_id, _ in dead:
            (result,) = history.results(connection, run_id=run_id)
            history.account_for(connection, result)
    return [policy for _, policy in dead]

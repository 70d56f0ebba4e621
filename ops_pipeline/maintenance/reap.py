"""Runs that died without a word. A policy's advisory lock is the proof of life: it ends with its session."""

import sql
from ops_pipeline.database import Connection


def interrupt_dead(connection: Connection) -> list[str]:
    """Marks the runs that nobody carries on any more as interrupted, and says of which policies they were.

    Nothing they committed is undone: the next run of the policy goes on from their last batch.
    """
    return [policy for (policy,) in connection.execute(sql.get("history/interrupt_dead"))]

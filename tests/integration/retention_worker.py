"""Runs the first policy and kills itself, without cleanup, in the middle of a batch."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from ops_pipeline.maintenance import kinds
from ops_pipeline.maintenance.batches import actions
from ops_pipeline.maintenance.kinds import carry_out
from ops_pipeline.postgres.connection import connect
from tests.small_batches import in_small_batches

url, policies, after_batches = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
batches = 0
statements = actions.progress_statements


def die_with_statements(*values: Any) -> Any:
    global batches  # noqa: PLW0603 - this process runs nothing else
    batches += 1
    if batches > after_batches:
        os.kill(os.getpid(), signal.SIGKILL)  # the batch has run and is not committed
    return statements(*values)


actions.progress_statements = die_with_statements  # type: ignore[assignment]  # the kill is injected there
policy = in_small_batches(kinds.load(policies).databases[0].policies[0])
with connect(url, "worker") as connection:
    carry_out(connection, policy)

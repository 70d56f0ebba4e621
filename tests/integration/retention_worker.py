"""Carries the first policy out and kills itself, uncleanly, in the middle of a batch."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from ops_pipeline import policy
from ops_pipeline.database import connect
from ops_pipeline.maintenance import history
from ops_pipeline.maintenance.perform import perform
from ops_pipeline.maintenance.retention import ExpiredRows
from ops_pipeline.maintenance.sweep import Sizes

url, policies, after_batches = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
batches = 0
add = history.Record.add


def add_and_die(self: history.Record, *values: Any) -> None:
    global batches  # noqa: PLW0603 - the process is the test's whole world
    add(self, *values)
    batches += 1
    if batches > after_batches:
        os.kill(os.getpid(), signal.SIGKILL)  # the batch is done and not committed


history.Record.add = add_and_die  # type: ignore[method-assign, assignment]
ExpiredRows.sizes = Sizes(8, 8, 8)
rule = policy.load(policies).databases[0].policies[0]
with connect(url, "worker") as connection:
    perform(connection, rule)

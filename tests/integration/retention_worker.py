"""Carries the first policy out and kills itself, uncleanly, in the middle of a batch."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from ops_pipeline import policy
from ops_pipeline.database import connect
from ops_pipeline.maintenance import removal
from ops_pipeline.maintenance.perform import perform
from ops_pipeline.maintenance.windows import Sizes
from ops_pipeline.maintenance.windows.blocks import BlockRanges

url, policies, after_batches = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
batches = 0
notes = removal.notes


def notes_and_die(*values: Any) -> Any:
    global batches  # noqa: PLW0603 - the process is the test's whole world
    batches += 1
    if batches > after_batches:
        os.kill(os.getpid(), signal.SIGKILL)  # the batch is done and not committed
    return notes(*values)


removal.notes = notes_and_die  # type: ignore[assignment]
BlockRanges.sizes = Sizes(8, 8, 8)
rule = policy.load(policies).databases[0].policies[0]
with connect(url, "worker") as connection:
    perform(connection, rule)

"""Carries the first policy out in small batches, taking signals as `opsctl` and Dagster's workers do."""

import signal
import sys
from pathlib import Path

from ops_pipeline import policy
from ops_pipeline.database import connect
from ops_pipeline.maintenance.perform import perform
from ops_pipeline.maintenance.windows import Sizes
from ops_pipeline.maintenance.windows.blocks import BlockRanges

for each in (signal.SIGINT, signal.SIGTERM):
    signal.signal(each, signal.default_int_handler)
BlockRanges.sizes = Sizes(8, 8, 8)
url, policies = sys.argv[1], Path(sys.argv[2])
rule = policy.load(policies).databases[0].policies[0]
with connect(url, "worker") as connection:
    perform(connection, rule)

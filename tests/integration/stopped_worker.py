"""Carries the first policy out in small batches, taking signals as `opsctl` and Dagster's workers do."""

import signal
import sys
from pathlib import Path

from ops_pipeline.maintenance import kinds
from ops_pipeline.maintenance.batches.scans.block_ranges import BlockRangeScan
from ops_pipeline.maintenance.kinds import carry_out
from ops_pipeline.postgres.connection import connect
from ops_pipeline.throttle.batch_size import Sizes

for each in (signal.SIGINT, signal.SIGTERM):
    signal.signal(each, signal.default_int_handler)
BlockRangeScan.sizes = Sizes(8, 8, 8)
url, policies = sys.argv[1], Path(sys.argv[2])
policy = kinds.load(policies).databases[0].policies[0]
with connect(url, "worker") as connection:
    carry_out(connection, policy)

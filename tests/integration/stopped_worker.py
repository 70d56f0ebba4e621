"""Runs the first policy in small batches, handling signals as `opsctl` and Dagster's workers do."""

import signal
import sys
from pathlib import Path

from ops_pipeline.maintenance import kinds
from ops_pipeline.maintenance.kinds import carry_out
from ops_pipeline.postgres.connection import connect
from tests.small_batches import in_small_batches

for each in (signal.SIGINT, signal.SIGTERM):
    signal.signal(each, signal.default_int_handler)
url, policies = sys.argv[1], Path(sys.argv[2])
policy = in_small_batches(kinds.load(policies).databases[0].policies[0])
with connect(url, "worker") as connection:
    carry_out(connection, policy)

"""Runs an orphans policy repeatedly, in small batches, until it is killed."""

import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from ops_pipeline.maintenance import kinds
from ops_pipeline.maintenance.kinds import carry_out
from ops_pipeline.maintenance.orphans.policy import Orphans
from ops_pipeline.postgres.connection import connect
from tests.small_batches import in_small_batches

url, policies = sys.argv[1], Path(sys.argv[2])
(policy,) = (each for each in kinds.load(policies).databases[0].policies if isinstance(each, Orphans))
with connect(url, "worker") as connection:
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        carry_out(
            connection,
            replace(
                in_small_batches(policy),
                grace_period=timedelta(0),
                guard=replace(policy.guard, max_fraction=1.0),
            ),
        )

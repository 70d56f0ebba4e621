"""Carries an orphans policy out over and over, in small batches, until it is killed."""

import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from ops_pipeline import policy
from ops_pipeline.database import connect
from ops_pipeline.maintenance.orphans.windows import Children, MarkedOrphans
from ops_pipeline.maintenance.perform import perform
from ops_pipeline.maintenance.windows import Sizes

url, policies = sys.argv[1], Path(sys.argv[2])
Children.sizes = Sizes(8, 8, 8)
MarkedOrphans.sizes = Sizes(100, 100, 100)
(rule,) = (each for each in policy.load(policies).databases[0].policies if isinstance(each, policy.Orphans))
with connect(url, "worker") as connection:
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        perform(connection, replace(rule, grace=timedelta(0), guard=replace(rule.guard, max_fraction=1.0)))

"""Carries the first policy out, having said that it begins; whoever started this may end it at any moment."""

import sys
from pathlib import Path

from ops_pipeline import policy
from ops_pipeline.database import connect
from ops_pipeline.maintenance.perform import perform
from ops_pipeline.maintenance.windows import Sizes
from ops_pipeline.maintenance.windows.blocks import BlockRanges
from ops_pipeline.settings import Settings

url, policies, archive = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
BlockRanges.sizes = Sizes(16, 16, 64)  # many batches even in a small table
rule = policy.load(policies).databases[0].policies[0]
settings = Settings(archive_url=archive, archive_batch_target_seconds=0.02)
with connect(url, "ops worker", lock_timeout="500ms") as connection:
    sys.stdout.write("begins\n")
    sys.stdout.flush()
    result = perform(connection, rule, settings=settings)
    sys.stdout.write(f"{result.outcome} {result.removed} {result.left}\n")

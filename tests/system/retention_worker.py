"""Runs the first policy after announcing it, to be killed at any moment."""

import sys
from pathlib import Path

from ops_pipeline.maintenance import kinds
from ops_pipeline.maintenance.kinds import carry_out
from ops_pipeline.postgres.connection import connect
from ops_pipeline.settings import Settings
from tests.small_batches import in_small_batches

url, policies, archive = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
policy = in_small_batches(kinds.load(policies).databases[0].policies[0], blocks=64)
settings = Settings(archive_url=archive, archive_batch_target_seconds=0.02)
with connect(url, "ops worker", lock_timeout="500ms") as connection:
    sys.stdout.write("begins\n")
    sys.stdout.flush()
    result = carry_out(connection, policy, settings=settings)
    sys.stdout.write(f"{result.outcome} {result.removed} {result.remaining}\n")

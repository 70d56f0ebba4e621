"""Runs a policy and is killed when its first files are committed and still have temporary names."""

import os
import signal
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from ops_pipeline.archive.archive import Archive
from ops_pipeline.maintenance import kinds
from ops_pipeline.maintenance.kinds import carry_out
from ops_pipeline.postgres.connection import connect
from tests.integration.orchestration import clock


def die(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


Archive.publish = die  # type: ignore[method-assign, assignment]  # it never returns
clock.shift(timedelta(seconds=float(sys.argv[2])))
policy = kinds.load(Path(sys.argv[1])).databases[0].policies[0]
with connect(os.environ["OPS_DATABASE_URL"], "killed run") as connection:
    carry_out(connection, policy)

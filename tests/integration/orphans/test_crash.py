"""A sweep killed at random moments deletes no child of a parent, and the next run finishes its work."""

import random
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial

import pytest

from ops_pipeline.maintenance.kinds import carry_out
from ops_pipeline.maintenance.orphans.policy import Orphans
from ops_pipeline.postgres.connection import Connection, scalar
from tests.eventually import eventually

WORKER = "tests.integration.orphans.worker"
WORKERS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'worker'"
KEPT = "SELECT md5(string_agg(m.id::text, ',' ORDER BY m.id)) FROM memories m"


@pytest.mark.parametrize(
    "kills", [pytest.param(3, id="small"), pytest.param(40, id="full", marks=pytest.mark.prove)]
)
def test_a_killed_sweep_loses_no_child_of_a_parent(
    application: Connection, orphans: Orphans, url: str, kills: int
) -> None:
    application.execute("CREATE INDEX ON memories (session_id)")
    application.execute("INSERT INTO memories (session_id) SELECT id FROM sessions")
    live = scalar(application, KEPT)
    when, in_the_middle = random.Random(5), 0  # noqa: S311 - not a secret
    for kill in range(kills):
        application.execute(
            "INSERT INTO memories (session_id) SELECT gen_random_uuid() FROM generate_series(1, 5000)"
        )
        before = scalar(application, "SELECT count(*) FROM memories")
        command = [sys.executable, "-m", WORKER, url, str(orphans.place.source.path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as worker:
            assert worker.stdout is not None
            worker.stdout.readline()
            if kill % 2:  # in the middle of the work, however busy the machine is
                eventually(partial(_has_fewer, application, before))
            time.sleep(when.uniform(0, 0.8 if kill % 2 == 0 else 0.05))
            worker.kill()
        in_the_middle += 6000 < scalar(application, "SELECT count(*) FROM memories") < before
        eventually(lambda: scalar(application, WORKERS) == 0)

    result = carry_out(application, replace(orphans, guard=replace(orphans.guard, max_fraction=1.0)))

    assert (result.outcome, result.remaining) == ("done", 0)
    assert scalar(application, KEPT) == live
    assert in_the_middle or kills < 10, "no kill came in the middle"


def _has_fewer(connection: Connection, rows: int) -> bool:
    return bool(scalar(connection, "SELECT count(*) FROM memories") < rows)

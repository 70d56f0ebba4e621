"""`opsctl run` without a daemon: what it selects, how the UI finds the run, and how it is interrupted."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import dagster as dg
import pytest
from dagster._daemon.types import DaemonHeartbeat
from psycopg import sql as compose

from ops_pipeline.audit.person import person
from ops_pipeline.diagnosis.daemon import LATE_SECONDS
from ops_pipeline.orchestration import instance as dagster_instance
from ops_pipeline.orchestration import launch
from ops_pipeline.postgres.connection import Connection, connect, scalar
from tests.eventually import eventually
from tests.integration.conftest import POLICIES, Done

SESSIONS = "SELECT count(*) FROM sessions"
# The last rows, which a later batch than the first deletes, take a second each.
SLOW = """
TRUNCATE sessions;
INSERT INTO sessions (created_at) SELECT now() - interval '90 days' FROM generate_series(1, 60000);
INSERT INTO sessions (created_at) SELECT now() - interval '31 days' FROM generate_series(1, 100);
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql
AS $$ BEGIN PERFORM pg_sleep(1); RETURN OLD; END $$;
CREATE TRIGGER slow BEFORE DELETE ON sessions FOR EACH ROW
WHEN (OLD.created_at > now() - interval '60 days') EXECUTE FUNCTION slow();
"""


@pytest.fixture(autouse=True)
def _environment(
    url: str, new_database: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPS_DATABASE_URL", url)
    monkeypatch.setenv("OPS_DAGSTER_DATABASE_URL", new_database())
    monkeypatch.setenv("OPS_POLICIES", str(tmp_path / "policies.yaml"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    monkeypatch.setenv("PYTHONPATH", os.fspath(Path(__file__).parents[3]))


@pytest.fixture
def instance(monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """The Dagster instance that `opsctl run` uses."""
    from ops_pipeline import settings  # noqa: PLC0415 - reads the environment of this test

    for name, value in dagster_instance.prepare(settings.load()).items():
        monkeypatch.setenv(name, value)
    with dg.DagsterInstance.get() as opened:
        yield opened


def test_a_run_waits_in_the_queue_while_a_daemon_is_alive_and_is_executed_here_when_it_is_gone(
    application: Connection,
    opsctl: Callable[..., Done],
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    almost_gone = time.time() - LATE_SECONDS + 8
    instance.add_daemon_heartbeat(DaemonHeartbeat(almost_gone, launch.DAEMON, None, []))

    ended = opsctl("run", "--policy", "app/retention/sessions", "--dry-run", "--json")

    assert ended.code == 0, ended.err
    assert "Dagster's daemon has stopped; this process executes the run" in ended.err
    said = json.loads(ended.out)
    assert list(said["policies"]) == ["app/retention/sessions"]
    assert "would delete 30 of 60 rows" in said["policies"]["app/retention/sessions"]["in_words"]
    assert scalar(application, SESSIONS) == 60
    (run,) = instance.get_runs()
    assert (run.run_id, run.status) == (said["run_id"], dg.DagsterRunStatus.SUCCESS)
    assert run.job_name == "nightly_app"
    found = instance.get_runs(dg.RunsFilter(tags={".dagster/repository": "__repository__@ops_pipeline"}))
    assert [each.run_id for each in found] == [run.run_id]
    assert (run.tags["ops/trigger"], run.tags["ops/started_by"]) == ("opsctl", person())
    kinds = [
        event.dagster_event.event_type_value for event in instance.all_logs(run.run_id) if event.dagster_event
    ]
    assert "PIPELINE_ENQUEUED" in kinds
    started = {event.step_key for event in instance.all_logs(run.run_id) if event.step_key}
    assert started == {"app__retention__sessions"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--policy", "app/retention/session"], 'did you mean "app/retention/sessions"?'),
        (["--database", "ap"], 'database "ap" does not exist; did you mean "app"?'),
    ],
)
def test_what_is_named_and_does_not_exist_is_refused_with_the_nearest(
    opsctl: Callable[..., Done], words: list[str], said: str
) -> None:
    refused = opsctl("run", *words)

    assert refused.code == 2
    assert said in refused.err


def test_sigterm_cancels_the_run_keeps_committed_batches_and_leaves_no_process(
    application: Connection, instance: dg.DagsterInstance, opsctl: Callable[..., Done], tmp_path: Path
) -> None:
    application.execute(SLOW)
    (tmp_path / "policies.yaml").write_text(
        POLICIES.replace("keep: 30 days", "keep: 30 days, guard: {max_fraction: 1.0}")
    )
    before = scalar(application, SESSIONS)
    process = subprocess.Popen(
        [str(Path(sys.executable).parent / "opsctl"), "run"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    with connect(os.environ["OPS_DATABASE_URL"], "watch") as watch:
        eventually(lambda: process.poll() is not None or scalar(watch, SESSIONS) < before)

    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)

    assert process.returncode == 130, err
    assert "CANCELED" in out
    assert "Interrupted. What was committed is kept." in err
    (run,) = instance.get_runs()
    assert run.status is dg.DagsterRunStatus.CANCELED
    kept = scalar(application, SESSIONS)
    assert 100 <= kept < before
    recorded = application.execute(
        "SELECT outcome, rows_removed FROM ops.maintenance_runs WHERE policy = 'app/retention/sessions'"
    ).fetchall()
    assert recorded == [("interrupted", before - kept)]
    eventually(lambda: _living(process.pid) == [])
    assert "the last run ended before it began" in opsctl("status").out
    assert "--policy app/vacuum" in opsctl("status").out


def test_while_it_waits_an_outage_ends_it_with_a_sentence(
    application: Connection, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    instance.add_daemon_heartbeat(DaemonHeartbeat(time.time() + 600, launch.DAEMON, None, []))
    (tmp_path / "policies.yaml").write_text(POLICIES)
    process = subprocess.Popen(
        [str(Path(sys.executable).parent / "opsctl"), "run"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    eventually(lambda: [run.status for run in instance.get_runs()] == [dg.DagsterRunStatus.QUEUED])

    with _outage(os.environ["OPS_DAGSTER_DATABASE_URL"], application):
        _, err = process.communicate(timeout=120)

    assert process.returncode == 1
    (run,) = instance.get_runs()
    assert "Dagster's database does not answer: " in err
    assert f"what run {run.run_id} has committed is kept" in err
    assert "Traceback" not in err


@contextmanager
def _outage(url: str, connection: Connection) -> Iterator[None]:
    """Ends the sessions of that database, and lets no new one begin."""
    name = urlsplit(url).path.strip("/")
    allow = compose.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
    connection.execute(allow.format(compose.Identifier(name), False))
    connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
    yield
    connection.execute(allow.format(compose.Identifier(name), True))


def _living(session: int) -> list[str]:
    """The processes of that session that still run."""
    living: list[str] = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, of_session = stat.read_text().rpartition(")")[2].split()[:4]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(of_session) == session and state != "Z":
            living.append(stat.parent.name)
    return living

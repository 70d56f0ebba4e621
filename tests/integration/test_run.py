"""One run at a time works on a policy, each is recorded, and the next run continues after any end."""

import os
import signal
import subprocess
import sys
import threading

import psycopg
import pytest

import sql
from ops_pipeline.maintenance.kinds import carry_out
from ops_pipeline.maintenance.retention.policy import Retention
from ops_pipeline.maintenance.run import TERMINATED
from ops_pipeline.postgres.connection import Connection, connect, scalar
from tests.eventually import eventually

HISTORY = (
    "SELECT outcome, stopped_reason, rows_removed, rows_remaining, finished_at IS NOT NULL, dagster_run_id"
    " FROM ops.maintenance_runs ORDER BY id"
)
PLACE = "SELECT position FROM ops.maintenance_cursors"
WORKER = "tests.integration.retention_worker"
STOPPED = "tests.integration.stopped_worker"


def test_a_run_is_one_row_of_history(application: Connection, retention: Retention) -> None:
    carry_out(application, retention, dagster_run_id="run-1")

    assert application.execute(HISTORY).fetchall() == [("done", "completed", 3000, 0, True, "run-1")]


HAS_LZ4 = "SELECT 'lz4' = ANY (enumvals) FROM pg_settings WHERE name = 'wal_compression'"


def test_wal_is_compressed_unless_wal_compression_is_set(
    application: Connection, retention: Retention
) -> None:
    application.execute("SET ROLE ops_reader")  # which may not set it
    application.execute(sql.get("postgres/compress_wal"))
    assert scalar(application, "SHOW wal_compression") == "off"
    application.execute("RESET ROLE")

    application.execute("SET wal_compression = pglz")
    carry_out(application, retention)
    assert scalar(application, "SHOW wal_compression") == "pglz"

    application.execute("RESET wal_compression")
    carry_out(application, retention)
    assert scalar(application, "SHOW wal_compression") == ("lz4" if scalar(application, HAS_LZ4) else "off")


def test_of_two_runs_one_works_and_the_other_names_it(
    application: Connection, retention: Retention, url: str
) -> None:
    with connect(url, "the first run") as first:
        pid = first.info.backend_pid
        first.execute("SELECT pg_advisory_lock(hashtextextended('ops: app/retention/sessions', 0))")

        result = carry_out(application, retention)

    assert result.outcome == "skipped"
    assert "the first run (pid" in result.stopped_reason
    assert scalar(application, "SELECT count(*) FROM sessions") == 6000
    eventually(lambda: not scalar(application, "SELECT count(*) FROM pg_stat_activity WHERE pid = %s", [pid]))
    assert carry_out(application, retention).outcome == "done", "the lock went with its session"


def test_a_failure_is_recorded_and_raised(application: Connection, retention: Retention) -> None:
    application.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'no deletes here'; END $$;"
        "CREATE TRIGGER refuse BEFORE DELETE ON sessions FOR EACH STATEMENT EXECUTE FUNCTION refuse()"
    )

    with pytest.raises(psycopg.errors.RaiseException):
        carry_out(application, retention)

    ((outcome, reason, removed, *_),) = application.execute(HISTORY).fetchall()
    assert (outcome, removed) == ("failed", 0)
    assert "no deletes here" in reason
    assert scalar(application, "SELECT count(*) FROM sessions") == 6000


def test_an_interrupt_stops_the_statement_on_the_server(
    application: Connection, retention: Retention, url: str
) -> None:
    application.execute(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_sleep(30); RETURN old; END $$;"
        "CREATE TRIGGER slow BEFORE DELETE ON sessions FOR EACH STATEMENT EXECUTE FUNCTION slow()"
    )
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a background job
    try:
        threading.Timer(0.5, os.kill, [os.getpid(), signal.SIGINT]).start()
        with pytest.raises(KeyboardInterrupt):
            carry_out(application, retention)
    finally:
        signal.signal(signal.SIGINT, before)

    with connect(url, "watch") as watch:
        sleeping = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        assert scalar(watch, sleeping) == 0
    ((outcome, *_),) = application.execute(HISTORY).fetchall()
    assert outcome == "interrupted"


@pytest.mark.parametrize("after_batches", [1, 3, 7])
def test_the_run_after_a_killed_one_ends_like_an_undisturbed_one(
    application: Connection, retention: Retention, url: str, after_batches: int
) -> None:
    kept = "SELECT array_agg(id ORDER BY id) FROM sessions WHERE created_at >= now() - interval '30 days'"
    undisturbed = scalar(application, kept)
    command = [sys.executable, "-m", WORKER, url, str(retention.place.source.path), str(after_batches)]
    worker = subprocess.run(command, check=False)
    assert worker.returncode == -signal.SIGKILL
    removed = 6000 - scalar(application, "SELECT count(*) FROM sessions")
    assert 0 < removed < 3000, "the kill came in the middle"
    workers = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'worker'"
    eventually(lambda: scalar(application, workers) == 0)

    result = carry_out(application, retention)

    assert (result.outcome, result.remaining) == ("done", 0)
    assert scalar(application, "SELECT array_agg(id ORDER BY id) FROM sessions") == undisturbed
    died, ended = application.execute(HISTORY).fetchall()
    assert died[0] == "interrupted"
    assert died[2] == removed, "what the history says was removed is what was removed"
    assert died[2] + ended[2] == 3000


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_stopped_in_a_batch_keeps_its_position_and_the_next_run_continues(
    application: Connection, retention: Retention, small_batches: None, url: str, told: signal.Signals
) -> None:
    application.execute(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_sleep(0.5); RETURN NULL; END $$;"
        "CREATE TRIGGER slow BEFORE DELETE ON sessions FOR EACH STATEMENT EXECUTE FUNCTION slow()"
    )
    worker = subprocess.Popen([sys.executable, "-m", STOPPED, url, str(retention.place.source.path)])
    in_a_batch = (
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'worker'"
        " AND wait_event = 'PgSleep' AND datname = current_database())"
    )
    removing = "SELECT coalesce(max(rows_removed), 0) > 0 FROM ops.maintenance_runs"

    def at_work() -> bool:
        assert worker.poll() is None
        return bool(scalar(application, removing) and scalar(application, in_a_batch))

    eventually(at_work)

    worker.send_signal(told)

    assert worker.wait(timeout=30) != 0
    assert not scalar(application, in_a_batch), "the statement was stopped on the server"
    removed = 6000 - scalar(application, "SELECT count(*) FROM sessions")
    ((outcome, reason, counted, _, finished, _),) = application.execute(HISTORY).fetchall()
    assert (outcome, reason, finished) == ("interrupted", TERMINATED, True)
    assert counted == removed, "the batch at work was rolled back whole, and those before it are counted"
    assert 0 < removed < 3000
    saved = scalar(application, PLACE)

    application.execute("DROP TRIGGER slow ON sessions")
    batches = iter([None, "enough"])
    carry_out(application, retention, stop=lambda: next(batches))
    assert scalar(application, PLACE) > saved, "it went on from there"
    carry_out(application, retention)
    assert scalar(application, "SELECT sum(rows_removed) FROM ops.maintenance_runs") == 3000
    assert scalar(application, "SELECT count(*) FROM sessions") == 3000

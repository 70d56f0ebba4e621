"""An interrupt also stops, on the server, a statement that deletes and archives."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from ops_pipeline.postgres.connection import Connection, scalar
from tests.eventually import eventually

SLOW = """
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql
AS $$ BEGIN PERFORM pg_sleep(50); RETURN NULL; END $$;
CREATE TRIGGER slow BEFORE DELETE ON sessions FOR EACH STATEMENT EXECUTE FUNCTION slow();
"""
SLEEPING = """
SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()
"""
INTERRUPTED = "SELECT count(*) FROM ops.maintenance_runs WHERE outcome = 'interrupted'"
POLICIES = """
version: 1
databases:
  app:
    url: ${OPS_DATABASE_URL}
    retention: [{table: sessions, column: created_at, keep: 30 days, archive: true}]
"""


def test_an_interrupt_stops_the_archiving_statement_on_the_server(
    application: Connection, url: str, tmp_path: Path
) -> None:
    application.execute(SLOW)
    file = tmp_path / "policies.yaml"
    file.write_text(POLICIES)
    environment = os.environ | {"OPS_DATABASE_URL": url, "OPS_ARCHIVE_URL": str(tmp_path / "archive")}
    command = [sys.executable, "-m", "tests.integration.orchestration.interrupted_run", str(file)]
    repository = Path(__file__).parents[3]
    process = subprocess.Popen(command, env=environment, cwd=repository, stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: scalar(application, SLEEPING) == 1)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        eventually(lambda: scalar(application, SLEEPING) == 0)
        seconds = time.monotonic() - began
        eventually(lambda: scalar(application, INTERRUPTED) == 1)
    finally:
        process.kill()
        process.wait()

    print(f"the archiving statement had ended {seconds:.2f} s after the interrupt")  # noqa: T201 - for docs/proofs.md
    assert seconds < 30, "it did not end by itself"
    assert scalar(application, "SELECT count(*) FROM sessions") == 60

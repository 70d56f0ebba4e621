"""`opsctl archive`: its commands, output and exit codes."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ops_pipeline.postgres.connection import Connection, scalar
from tests.eventually import eventually
from tests.integration.archive.conftest import Opsctl

SLOW = """
CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(120); RETURN NULL; END';
CREATE TRIGGER slowly BEFORE INSERT ON events EXECUTE FUNCTION slowly();
"""
REASONS = (
    "SELECT action, details ->> 'reason' FROM audit_logs WHERE action LIKE 'archive.%' ORDER BY created_at"
)
SLEEPING = (
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
)


def test_from_the_list_to_the_rows(opsctl: Opsctl, events: Connection, folder: Path) -> None:
    _, out, _ = opsctl("list", "--json")
    listed = json.loads(out)["archives"]
    assert [(file["table"], file["day"], file["rows"], file["state"]) for file in listed[:2]] == [
        ("events", "2026-03-01", 240, "stored"),
        ("events", "2026-03-02", 240, "stored"),
    ]
    assert all((folder / file["path"]).stat().st_size == file["bytes"] for file in listed)

    code, out, _ = opsctl("verify", "--json", "--reason", "Ticket 4711")
    (verified,) = json.loads(out)["databases"]
    assert (code, verified["database"], verified["problems"]) == (0, "app", [])
    assert "All files match what the database recorded: size, SHA-256 and row count." in opsctl("verify")[1]

    days = ("--from", "2026-03-02", "--to", "2026-03-03")
    code, out, err = opsctl("restore", "--table", "events", *days, "--by", "ada", "--reason", "Ticket 4712")
    assert code == 0, err
    assert "Restored 480 rows of 2026-03-02 to 2026-03-03 into public.events" in out
    assert "opsctl hold release 1 --database app" in out
    assert scalar(events, "SELECT count(*) FROM events") == 480
    assert "restored" in opsctl("list")[1]
    assert events.execute(REASONS).fetchall() == [
        ("archive.verified", "Ticket 4711"),
        ("archive.verified", None),
        ("archive.restored", "Ticket 4712"),
    ]
    assert scalar(events, "SELECT reason FROM ops.legal_holds") == "Ticket 4712"


def test_a_problem_is_reported_with_exit_code_1(opsctl: Opsctl, folder: Path) -> None:
    broken = sorted(folder.rglob("*.parquet"))[0]
    broken.write_bytes(b"x")

    code, _, said = opsctl("verify")
    assert (code, broken.name in said) == (1, True)
    code, _, said = opsctl("restore", "--table", "events", "--to", "2026-03-01")
    assert (code, broken.name in said) == (1, True)
    code, _, said = opsctl("restore", "--table", "evnets")
    assert (code, "events" in said) == (1, True)


def test_ctrl_c_ends_a_restore_on_the_server_as_well(
    opsctl: Opsctl, events: Connection, tmp_path: Path
) -> None:
    events.execute(SLOW)
    program = Path(sys.executable).with_name("opsctl")
    command = [str(program), "archive", "restore", "--table", "events", "--triggers"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as restoring:
        eventually(lambda: scalar(events, SLEEPING) == 1)
        restoring.send_signal(signal.SIGINT)
        _, said = restoring.communicate(timeout=60)

    assert (restoring.returncode, said.startswith("Interrupted.")) == (130, True), said
    eventually(lambda: scalar(events, SLEEPING) == 0)
    assert scalar(events, "SELECT count(*) FROM events") == 0
    assert opsctl("verify")[0] == 0


def test_wrong_usage_is_reported_with_exit_code_2(opsctl: Opsctl, monkeypatch: pytest.MonkeyPatch) -> None:
    code, _, said = opsctl("restore", "--table", "events", "--from", "yesterday")
    assert (code, '"yesterday" is not a day; write it as YYYY-MM-DD' in said) == (2, True)
    assert opsctl("list", "--database", "none")[0] == 2
    monkeypatch.setenv("OPS_ARCHIVE_URL", "ftp://x/y")
    code, _, said = opsctl("list")
    assert (code, "OPS_ARCHIVE_URL: ftp:// is not supported" in said) == (2, True)


def test_a_first_day_after_the_last_is_wrong_usage(opsctl: Opsctl) -> None:
    code, _, said = opsctl("restore", "--table", "events", "--from", "2026-03-02", "--to", "2026-03-01")

    assert (code, "2026-03-02 is after --to 2026-03-01" in said) == (2, True)

"""Without the audit log maintenance works, and every command says that it is not recorded there."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ops_pipeline.access import keys
from ops_pipeline.audit import trail
from ops_pipeline.diagnosis.examine import examine
from ops_pipeline.maintenance import history, kinds
from ops_pipeline.orchestration import metadata
from ops_pipeline.policies.model import Database
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.settings import Settings
from tests.integration.conftest import Done

POLICIES = """
version: 1
databases:
  app:
    url: ${OPS_DATABASE_URL}
    retention:
      - {table: sessions, column: created_at, keep: 30 days, archive: true, guard: {max_fraction: 0.2}}
    orphans:
      - {table: memories, column: session_id, references: sessions.id, grace_period: 0 seconds, track: true}
"""
MISSING = {
    "dropped": ("DROP TABLE audit_logs", "Restore the table from a backup of the database"),
    "renamed": (
        "ALTER TABLE audit_logs RENAME TO events_before",
        "ALTER TABLE public.events_before RENAME TO audit_logs;",
    ),
    "renamed and replaced": (
        "ALTER TABLE audit_logs RENAME TO old; CREATE TABLE audit_logs (who text)",
        "ALTER TABLE public.old RENAME TO audit_logs;",
    ),
    "moved": (
        'CREATE SCHEMA "Old"; ALTER TABLE audit_logs SET SCHEMA "Old"',
        'ALTER TABLE "Old".audit_logs SET SCHEMA public;',
    ),
}
NOT_RECORDED = "not recorded in an audit log: table public.audit_logs is missing in database '{}'"


@pytest.fixture
def database(application: Connection, read: Callable[..., Database]) -> Database:
    """The small application's policies, over a database without an audit log."""
    application.execute("ALTER TABLE audit_logs RENAME TO events_before")
    return read(POLICIES)


@pytest.fixture
def settings(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("OPS_DATABASE_URL", url)
    monkeypatch.setenv("OPS_ARCHIVE_URL", str(tmp_path / "archive"))
    return Settings()


@pytest.fixture
def unrecorded(caplog: pytest.LogCaptureFixture, application: Connection) -> Callable[[], list[str]]:
    """The actions reported as not recorded since the last call."""
    said = NOT_RECORDED.format(application.info.dbname)

    def actions() -> list[str]:
        messages = [record.getMessage() for record in caplog.records]
        caplog.clear()
        return [
            message.split(" was ")[0]
            for message in messages
            if f" was {said}. To see what to do: opsctl doctor" in message
        ]

    return actions


def test_every_command_works_and_says_that_nothing_is_recorded(
    database: Database,
    settings: Settings,
    application: Connection,
    opsctl: Callable[..., Done],
    unrecorded: Callable[[], list[str]],
) -> None:
    def done(*words: str) -> None:
        ended = opsctl(*words)
        assert ended.code == 0, (words, ended)

    Path("policies.yaml").write_text(POLICIES)
    (sessions, memories) = database.policies

    done("track", "install", memories.name)
    assert unrecorded() == ["track.installed"]
    said = ("--reason", "case 12", "--owner", "legal")
    done("hold", "add", "--table", "sessions", "--where", "created_at < 2000-01-01", *said)
    assert unrecorded() == ["hold.added"]

    waiting = kinds.carry_out(application, sessions, settings=settings)
    assert waiting.outcome == "needs_approval"
    done("approve", str(waiting.details["plan"]))
    assert unrecorded() == ["plan.approved"]
    removed = kinds.carry_out(application, sessions, settings=settings)
    assert (removed.outcome, removed.removed, removed.archived) == ("done", 3000, 3000)
    assert unrecorded() == ["rows.archived_and_removed"]

    done("archive", "verify")
    done("archive", "restore", "--table", "sessions")
    assert scalar(application, "SELECT count(*) FROM sessions") == 6000
    assert unrecorded() == ["archive.verified", "hold.added", "archive.restored"]
    done("hold", "release", "1")
    done("track", "remove", memories.name)
    assert unrecorded() == ["hold.released", "track.removed"]
    key = keys.create(application, "me", ["admin"])
    keys.revoke(application, str(key.id))
    assert unrecorded() == ["key.create", "key.revoke"]
    assert scalar(application, "SELECT count(*) FROM events_before") == 0


def test_history_shows_that_a_run_is_not_in_the_audit_log(
    database: Database, settings: Settings, application: Connection, read: Callable[..., Database]
) -> None:
    (sessions,) = read(POLICIES.replace("max_fraction: 0.2", "max_fraction: 1")).policies[:1]

    result = kinds.carry_out(application, sessions, settings=settings)

    said = f"this run is {NOT_RECORDED.format(application.info.dbname)}"
    assert str(result.details[history.UNRECORDED]).startswith(said)
    kept = "SELECT details ->> 'unrecorded' FROM ops.maintenance_runs"
    assert str(scalar(application, kept)).startswith(said)
    shown = metadata.metadata(kinds.kind_of(sessions), result)
    assert str(shown["unrecorded"].value).startswith(said)

    application.execute("ALTER TABLE events_before RENAME TO audit_logs")
    recorded = kinds.carry_out(application, sessions, settings=settings)
    assert history.UNRECORDED not in recorded.details
    assert "unrecorded" not in metadata.metadata(kinds.kind_of(sessions), recorded)


def test_an_adoption_says_that_it_is_not_recorded(
    database: Database, application: Connection, settings: Settings, opsctl: Callable[..., Done],
    unrecorded: Callable[[], list[str]],
) -> None:  # fmt: skip
    application.execute("CREATE TABLE visits (id int PRIMARY KEY, created_at timestamptz NOT NULL)")

    assert opsctl("adopt", "visits").code == 0

    assert unrecorded() == ["table.adoption_started", "table.adoption_swapped"]


def test_the_terminal_shows_that_nothing_is_recorded(
    database: Database, settings: Settings, application: Connection, tmp_path: Path
) -> None:
    words = ["hold", "add", "--table", "sessions", "--where", "created_at < 2000-01-01", "--reason", "x"]
    done = subprocess.run(
        [Path(sys.executable).parent / "opsctl", *words, "--owner", "legal", "--json"],
        cwd=tmp_path, env=os.environ, capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert json.loads(done.stdout)["state"] == "active"
    assert f"hold.added was {NOT_RECORDED.format(application.info.dbname)}" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("how", list(MISSING))
def test_doctor_says_where_the_audit_log_is(
    how: str, application: Connection, settings: Settings, read: Callable[..., Database]
) -> None:
    def found() -> list[tuple[str, str, tuple[str, ...]]]:
        return [
            (each.severity, each.problem, each.remedies)
            for each in examine(read(), settings).findings
            if each.id == "audit_log_missing"
        ]

    assert found() == []
    statement, remedy = MISSING[how]
    application.execute(statement)

    ((severity, problem, remedies),) = found()
    assert (severity, remedies[-1]) == ("warning", remedy)
    assert "Policies, holds, approvals and restores still work" in problem
    if how in {"renamed", "moved"}:
        application.execute(remedies[-1].encode())
        assert found() == []


def test_migrate_reports_the_missing_audit_log_and_fails(
    database: Database, settings: Settings, opsctl: Callable[..., Done]
) -> None:
    done = opsctl("migrate")

    assert done.code == 1
    assert "the audit log public.audit_logs is missing. To see what to do: opsctl doctor" in done.err


def test_a_column_whose_type_has_changed_is_written_to_as_before(application: Connection) -> None:
    application.execute("ALTER TABLE audit_logs ALTER created_by TYPE text, ALTER action TYPE text")

    trail.record(application, "hold.added", {}, by="ada")

    assert scalar(application, "SELECT created_by FROM audit_logs WHERE action = 'hold.added'") == "ada"

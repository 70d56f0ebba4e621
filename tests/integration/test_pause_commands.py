"""A pause itself: its end, its reason, its records in the audit log, and the commands for it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from ops_pipeline.audit.person import person
from ops_pipeline.maintenance.kinds import carry_out
from ops_pipeline.maintenance.retention.policy import Retention
from ops_pipeline.pauses import pauses
from ops_pipeline.postgres.connection import Connection, connect, scalar
from tests.eventually import eventually
from tests.integration.conftest import APPLICATION, SESSIONS, Done

SESSION_ROWS = "SELECT count(*) FROM sessions"
EVENTS = (
    "SELECT action, created_by, details FROM audit_logs WHERE action LIKE 'maintenance.%' ORDER BY created_at"
)


def _as_user(url: str, user: str) -> str:
    """The same database as another user, with the password x."""
    return urlsplit(url)._replace(netloc=f"{user}:x@{urlsplit(url).netloc.rpartition('@')[2]}").geturl()


def test_a_pause_ends_by_itself(application: Connection, retention: Retention) -> None:
    made = pauses.pause(
        application, reason="replica trouble", by="ada", ends_at=datetime.now(UTC) + timedelta(seconds=1)
    )
    assert made.ends_at is not None
    assert carry_out(application, retention).outcome == "paused"

    eventually(lambda: pauses.active(application) is None)

    assert carry_out(application, retention).outcome == "done"
    assert pauses.resume(application, by="ada") is None, "it was over"


def test_another_database_is_not_paused(
    application: Connection, retention: Retention, new_database: Callable[..., str], template: str
) -> None:
    pauses.pause(application, reason="replica trouble", by="ada")
    with connect(new_database(template), "test") as other:
        other.execute(APPLICATION)
        other.execute(SESSIONS, [59, 0, 100])

        assert carry_out(other, retention).outcome == "done"

    assert carry_out(application, retention).outcome == "paused"


def test_a_second_pause_replaces_the_first_and_both_are_in_the_audit_log(connection: Connection) -> None:
    first = pauses.pause(connection, reason="replica trouble", by="ada")
    end = datetime.now(UTC) + timedelta(hours=1)
    second = pauses.pause(connection, reason="until the replica is back", by="bob", ends_at=end)

    assert pauses.active(connection) == second
    resumed = pauses.resume(connection, by="eve")

    assert resumed == second
    assert pauses.active(connection) is None
    events = connection.execute(EVENTS).fetchall()
    assert [(action, by) for action, by, _ in events] == [
        ("maintenance.paused", "ada"),
        ("maintenance.paused", "bob"),
        ("maintenance.resumed", "eve"),
    ]
    assert events[0][2]["reason"] == "replica trouble"
    assert events[1][2]["replaces"] == first.id
    assert events[2][2]["login"] == connection.info.user
    assert scalar(connection, "SELECT count(*) FROM ops.maintenance_pauses WHERE resumed_at IS NULL") == 0


@pytest.mark.parametrize(("reason", "until"), [(" ", None), ("x", "2020-01-01")])
def test_a_pause_without_a_reason_or_in_the_past_is_refused(
    opsctl: Callable[..., Done], url: str, monkeypatch: pytest.MonkeyPatch, reason: str, until: str | None
) -> None:
    monkeypatch.setenv("OPS_DATABASE_URL", url)

    refused = opsctl("pause", "--reason", reason, *(("--until", until) if until else ()))

    assert refused.code == 2
    assert ("until" if until else "reason") in refused.err


def test_the_commands_pause_tell_and_resume(
    application: Connection, opsctl: Callable[..., Done], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPS_DATABASE_URL", url)

    paused = opsctl("pause", "--reason", "replica trouble", "--until", "2h", "--by", "ada")
    planned = opsctl("plan")
    resumed = opsctl("resume", "--by", "bob")
    again = opsctl("resume")

    assert paused.code == planned.code == resumed.code == again.code == 0
    said = f"app: paused by {person()} on behalf of ada since "
    assert said in paused.out
    assert said in planned.out
    assert "replica trouble. To resume: opsctl resume --database app" in planned.out
    assert f"app: resumed; it was paused by {person()} on behalf of ada (replica trouble)" in resumed.out
    assert "app: not paused" in again.out
    assert "paused" not in opsctl("plan").out


def test_a_login_that_may_only_read_cannot_pause_and_is_told_the_grant(
    connection: Connection, opsctl: Callable[..., Done], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"reader_{uuid4().hex[:8]}"
    connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'x' IN ROLE ops_reader")
    try:
        monkeypatch.setenv("OPS_DATABASE_URL", _as_user(url, name))
        refused = opsctl("pause", "--reason", "x")
    finally:
        connection.execute(f"DROP ROLE {name}")

    assert refused.code == 1
    assert f"GRANT ops_maintenance TO {name}" in refused.err
    assert pauses.active(connection) is None


@pytest.mark.prove  # it starts Dagster's processes
def test_opsctl_run_says_once_that_it_is_paused_and_exits_with_1(
    application: Connection, opsctl: Callable[..., Done], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPS_DATABASE_URL", url)
    pauses.pause(application, reason="replica trouble", by="ada")

    ended = opsctl("run")

    assert ended.code == 1
    names = "app/retention/sessions, app/orphans/memories.session_id, app/vacuum"
    assert f"{names}: paused by ada since " in ended.err
    assert ended.err.count("paused by ada") == 1
    assert "SUCCESS, but maintenance is paused" in ended.out
    assert scalar(application, SESSION_ROWS) == 6000


def test_a_database_that_is_not_migrated_is_not_paused(
    new_database: Callable[..., str],
) -> None:
    with connect(new_database(), "test") as plain:
        assert pauses.active(plain) is None

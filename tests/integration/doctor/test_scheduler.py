"""Doctor asks about Dagster: daemons, schedules, its database, the code location; red and green."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import psycopg
import pytest
from dagster._core.scheduler.instigation import InstigatorStatus, TickStatus
from dagster_shared.error import SerializableErrorInfo
from typer.testing import CliRunner, Result

from ops_pipeline import cli
from ops_pipeline.diagnosis import code_location, dagster_database, schedules
from ops_pipeline.maintenance.kinds import carry_out
from ops_pipeline.policies.model import Schedule
from ops_pipeline.postgres import embedded
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.settings import Settings
from tests.integration.conftest import POLICIES
from tests.integration.doctor.installation import NOWHERE, Ask, beat, switch, switch_sensor, tick


def test_a_daemon_that_is_silent_is_an_error(ask: Ask, healthy: dg.DagsterInstance) -> None:
    beat(healthy, "a", seconds_ago=1000)

    found = ask.one("daemon")

    assert found.severity == "error"
    assert "SCHEDULER (100" in found.problem
    assert found.remedies[0] == "opsctl up"


def test_a_second_daemon_is_found_by_the_next_heartbeat(ask: Ask, healthy: dg.DagsterInstance) -> None:
    pauses: list[float] = []

    def other_reports(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 20:
            beat(healthy, "b")

    beat(healthy, "a", seconds_ago=10)
    ask.pause = other_reports
    found = ask.one("one_daemon")
    assert (found.severity, len(pauses)) == ("error", 20)
    assert "2 daemons send heartbeats (a, b)" in found.problem

    pauses.clear()
    beat(healthy, "a", seconds_ago=10)
    ask.pause = lambda _: beat(healthy, "a")
    assert ask().state("one_daemon") == "ok"


def test_a_daemon_that_never_ran_is_a_warning(ask: Ask, healthy: dg.DagsterInstance) -> None:
    healthy.wipe_daemon_heartbeats()

    answers = ask()

    assert [(each.id, each.severity) for each in answers.findings] == [("daemon_started", "warning")]
    assert answers.unasked["daemon"] == "no daemon has run yet"


def test_a_schedule_that_is_off_is_an_error(ask: Ask, healthy: dg.DagsterInstance) -> None:
    switch(healthy, InstigatorStatus.STOPPED)

    found = ask.one("schedules")

    assert (found.severity, found.subject) == ("error", "nightly_app")
    assert found.remedies == ("opsctl schedule on --database app",)
    switch(healthy, InstigatorStatus.RUNNING)
    assert ask().state("schedules") == "ok"


@pytest.fixture
def opsctl(ask: Ask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Result]:
    """Runs a command on the installation."""
    monkeypatch.chdir(tmp_path)
    for name in ("DAGSTER_HOME", "OPS_POLICIES", "OPS_SCHEMA", "OPS_AUDIT_LOG_SCHEMA"):
        monkeypatch.setenv(name, "")  # restored after the command has set them
        monkeypatch.delenv(name)
    monkeypatch.setenv("OPS_DAGSTER_DATABASE_URL", ask.settings.dagster_database_url or "")
    return lambda *words: CliRunner().invoke(cli.app, list(words))


def test_status_names_what_keeps_the_next_run_from_starting_and_its_remedy_works(
    ask: Ask, connection: Connection, healthy: dg.DagsterInstance, opsctl: Callable[..., Result]
) -> None:
    del connection
    on = opsctl("status").stdout
    assert re.search(r"next run   2\d+-.* UTC, in .*; the daemon reported \d s ago\n", on), on

    switch(healthy, InstigatorStatus.STOPPED)
    off = opsctl("status")
    assert "next run   none: the schedule nightly_app is off. To turn it on: " in off.stdout
    (remedy,) = re.findall(r"opsctl (schedule on --database app)\n", off.stdout)
    assert opsctl(*remedy.split()).exit_code == 0
    assert ask().state("schedules") == "ok"
    assert "nightly_app: was not off\n" in opsctl(*remedy.split()).stdout

    beat(healthy, "a", seconds_ago=1000)
    silent = opsctl("status").stdout
    assert re.search(
        r"next run   none: no Dagster daemon has reported since .* UTC. To start it: opsctl up\n", silent
    ), silent


def test_a_sensor_that_is_off_is_an_error_and_the_remedy_turns_it_on(
    ask: Ask, application: Connection, healthy: dg.DagsterInstance, opsctl: Callable[..., Result]
) -> None:
    for _, policy in ask.policies:
        carry_out(application, policy)
    for name in ("ended_runs", "lost_runs", "of_someone_else"):
        switch_sensor(healthy, name, InstigatorStatus.STOPPED)

    off = opsctl("status")
    first, second = (each for each in ask().findings if each.id == "sensors")

    assert off.exit_code == 1
    assert "Dagster: the sensor ended_runs is off: " in off.stdout
    assert "of_someone_else" not in off.stdout
    assert (first.subject, second.subject) == ("ended_runs", "lost_runs")
    assert first.severity == "error"
    assert first.remedies == ("opsctl schedule on",)
    assert opsctl("schedule", "on").stdout.splitlines()[:3] == [
        "nightly_app: was not off",
        "ended_runs: on",
        "lost_runs: on",
    ]
    assert opsctl("status").exit_code == 0
    assert ask().state("sensors") == "ok"


def test_status_exits_with_1_for_what_keeps_the_next_run_from_starting(
    ask: Ask, application: Connection, healthy: dg.DagsterInstance, opsctl: Callable[..., Result]
) -> None:
    for _, policy in ask.policies:
        carry_out(application, policy)

    assert opsctl("status").exit_code == 0
    switch(healthy, InstigatorStatus.STOPPED)
    assert opsctl("status").exit_code == 1
    switch(healthy, InstigatorStatus.RUNNING)
    beat(healthy, "a", seconds_ago=1000)
    assert opsctl("status").exit_code == 1
    healthy.wipe_daemon_heartbeats()
    assert opsctl("status").exit_code == 0, "runs are started by opsctl run"
    (shown,) = json.loads(opsctl("status", "--json").stdout)["databases"]
    assert (shown["next_run"]["at"], shown["next_run"]["problem"]) == (None, None)


def test_a_failed_tick_is_an_error_and_a_later_success_ends_it(ask: Ask, healthy: dg.DagsterInstance) -> None:
    tick(healthy, TickStatus.FAILURE, SerializableErrorInfo("PolicyError: keep: is required\n", [], None))

    assert "failed: PolicyError: keep: is required. No run was started" in ask.one("schedules").problem

    tick(healthy, TickStatus.SUCCESS)
    assert ask().state("schedules") == "ok"


def test_a_missing_tick_is_an_error_once_it_is_late() -> None:
    nightly = Schedule("0 2 * * *", "Europe/Zurich")
    due = datetime(2026, 3, 5, 1, tzinfo=UTC)
    known = datetime(2026, 3, 1)  # noqa: DTZ001 - as Dagster stores it
    ticked = due.replace(tzinfo=None)

    def at(now: datetime, last: datetime | None, since: datetime = known) -> str | None:
        return schedules.state(nightly, now, True, since, last, "SUCCESS", None)

    assert at(due + timedelta(minutes=11), ticked) is None
    missed = at(due + timedelta(minutes=11), ticked - timedelta(days=1))
    assert missed is not None
    assert "the tick of 2026-03-05 01:00 UTC is missing (its last one was at 2026-03-04 01:00 UTC)" in missed
    assert at(due + timedelta(minutes=9), ticked - timedelta(days=1)) is None, "the daemon may be at it"
    assert at(due + timedelta(hours=1), None, ticked + timedelta(minutes=1)) is None, "it is new"


def test_a_schema_of_another_dagster_is_an_error(ask: Ask, healthy: dg.DagsterInstance) -> None:
    head, known = dagster_database.revisions()
    older = min(known - {head})
    with psycopg.connect(ask.settings.dagster_database_url or "", autocommit=True) as session:
        try:
            session.execute("UPDATE alembic_version SET version_num = %s", [older])
            assert ask.one("dagster_schema").remedies == ("dagster instance migrate",)
            session.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
            assert "a newer Dagster has upgraded it" in ask.one("dagster_schema").problem
        finally:
            session.execute("UPDATE alembic_version SET version_num = %s", [head])


def test_a_dagster_database_that_does_not_answer_is_an_error(ask: Ask) -> None:
    ask.changes = {"dagster_database_url": NOWHERE}

    answers = ask()

    assert [(each.id, each.severity) for each in answers.findings] == [("dagster_database", "error")]
    assert answers.unasked["daemon"] == "Dagster's database does not answer"


def test_a_dagster_database_that_does_not_exist_is_no_finding_unless_it_cannot_be_created(
    ask: Ask, server: embedded.Server
) -> None:
    missing = server.url("dagster_elsewhere")
    ask.changes = {"dagster_database_url": missing}
    assert ask().findings == []
    assert "does not exist yet" in ask().unasked["dagster_database"]

    with psycopg.connect(server.url("postgres"), autocommit=True) as session:
        session.execute("CREATE ROLE guest LOGIN PASSWORD 'guest'")
        try:
            ask.changes = {
                "dagster_database_url": psycopg.conninfo.make_conninfo(
                    missing, user="guest", password="guest"
                )
            }
            found = ask.one("dagster_database")
        finally:
            session.execute("DROP ROLE guest")
    assert found.remedies == ('CREATE DATABASE "dagster_elsewhere" OWNER "guest";',)


def test_a_dagster_database_without_tables_is_no_finding(ask: Ask, new_database: Callable[[], str]) -> None:
    ask.changes = {"dagster_database_url": new_database()}

    answers = ask()

    assert answers.findings == []
    assert "has not run here yet" in answers.unasked["daemon"]


def test_a_code_location_that_cannot_be_loaded_is_an_error_with_the_last_line(
    url: str, tmp_path: Path
) -> None:
    file = tmp_path / "policies.yaml"
    given = Settings(database_url=url, policies=file)

    file.write_text(POLICIES.replace("keep:", "kip:"))
    assert "kip" in str(code_location.load(given))
    file.write_text(POLICIES)
    assert code_location.load(given) is None

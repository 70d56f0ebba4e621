"""The real webserver, daemon and code server: schedules, Terminate, backfills, and killed processes."""

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from ops_pipeline.access import keys
from ops_pipeline.audit.person import person
from ops_pipeline.maintenance.guard import approvals
from ops_pipeline.postgres.connection import Connection, connect, scalar
from ops_pipeline.postgres.embedded import Server
from tests.eventually import eventually
from tests.integration.orchestration.conftest import FILL
from tests.integration.orchestration.events import fill_events, today
from tests.system.services import LOCATION, PROGRAMS, Services

POLICIES = """
version: 1
databases:
  app:
    url: {app}
    retention: [{{table: sessions, column: created_at, keep: 30 days}}]
  archived:
    url: {archived}
    retention: [{{table: events, column: at, keep: 10 days, partition: day, archive: true}}]
    guard: {{max_fraction: 1.0}}
  often:
    url: {often}
    schedule: {{cron: "* * * * *"}}
    retention: [{{table: sessions, column: created_at, keep: 30 days}}]
  guarded:
    url: {guarded}
    retention: [{{table: sessions, column: created_at, keep: 30 days}}]
    guard: {{max_fraction: 0.1}}
  recovered:
    url: {recovered}
    retention: [{{table: sessions, column: created_at, keep: 30 days, guard: {{max_fraction: 0.1}}}}]
    vacuum: {{tables: [memories]}}
"""
# Each DELETE is slow, so that a run can be caught in it.
SLOW = """
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql
AS $$ BEGIN PERFORM pg_sleep(300); RETURN NULL; END $$;
CREATE TRIGGER slow BEFORE DELETE ON sessions FOR EACH STATEMENT EXECUTE FUNCTION slow();
"""
SLEEPING = """
SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()
"""
OUTCOMES = "SELECT outcome FROM ops.maintenance_runs WHERE policy = 'app/retention/sessions' ORDER BY id"

TERMINATE = "mutation ($id: String!) {terminateRun(runId: $id, terminatePolicy: SAFE_TERMINATE) {__typename}}"
SCHEDULE = """
query ($selector: ScheduleSelector!) {scheduleOrError(scheduleSelector: $selector) {... on Schedule {
  scheduleState {id status ticks(limit: 5) {status timestamp runIds}}
  futureTicks(limit: 1) {results {timestamp}}}}}
"""
BACKFILL = """
mutation ($backfill: LaunchBackfillParams!) {launchPartitionBackfill(backfillParams: $backfill) {
  __typename ... on LaunchBackfillSuccess {backfillId} ... on PythonError {message}}}
"""
BACKFILL_STATUS = """
query ($id: String!) {partitionBackfillOrError(backfillId: $id) {... on PartitionBackfill {
  status runs(limit: 20) {runId status}}}}
"""
PARTITIONS = """
query ($key: AssetKeyInput!) {assetNodeOrError(assetKey: $key) {... on AssetNode {
  partitionStats {numMaterialized numFailed}}}}
"""
REEXECUTE = """
mutation ($parameters: ReexecutionParams!) {launchRunReexecution(reexecutionParams: $parameters) {
  __typename ... on LaunchRunSuccess {run {runId}} ... on PythonError {message}}}
"""
STOP_SCHEDULE = """mutation ($id: String!) {stopRunningSchedule(id: $id) {__typename}}"""


@pytest.fixture(scope="module")
def urls(server: Server, template: str) -> dict[str, str]:
    names = {
        "app": "services_app",
        "often": "services_often",
        "archived": "services_archived",
        "guarded": "services_guarded",
        "recovered": "services_recovered",
        "dagster": "services_dagster",
    }
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        for name in names.values():
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    return {each: server.url(name) for each, name in names.items()}


@pytest.fixture(scope="module")
def services(urls: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Started once for all tests of this file."""
    folder = tmp_path_factory.mktemp("services")
    (folder / "policies.yaml").write_text(POLICIES.format(**urls))
    for name in ("app", "often", "recovered"):
        with connect(urls[name], "test") as connection:
            connection.execute(FILL)
    with connect(urls["archived"], "test") as connection:
        fill_events(connection, days=21)
    running = Services.start(
        folder,
        {
            "OPS_DATABASE_URL": urls["app"],
            "OPS_DAGSTER_DATABASE_URL": urls["dagster"],
            "OPS_DAGSTER_PORT": str(_free_port()),
            "OPS_API_PORT": str(_free_port()),
            "OPS_ARCHIVE_URL": str(folder / "archive"),
        },
    )
    yield running
    running.stop()


@pytest.fixture
def app(urls: dict[str, str]) -> Iterator[Connection]:
    """The database `app`, filled again, with a DELETE that takes five minutes."""
    with connect(urls["app"], "test") as connection:
        connection.execute("DROP TABLE sessions, memories; DROP FUNCTION IF EXISTS slow")
        connection.execute("TRUNCATE ops.maintenance_runs, ops.maintenance_cursors CASCADE")
        connection.execute(FILL)
        connection.execute(SLOW)
        yield connection


def test_no_run_uses_an_earlier_version_of_a_broken_file(services: Services, urls: dict[str, str]) -> None:
    file = services.folder / "policies.yaml"
    good = file.read_text()
    file.write_text(good.replace("keep:", "keeep:"))
    try:
        run_id = services.launch("nightly_guarded")
        assert services.ended(run_id) == "FAILURE"
    finally:
        file.write_text(good)

    events = services.events(run_id)
    assert "Could not load job definition." in [event.get("message") for event in events]
    assert not any(event.get("eventType") == "STEP_START" for event in events)
    with connect(urls["app"], "test") as connection:
        reported = "SELECT count(*) FROM audit_logs WHERE action = 'policies.unreadable'"
        assert scalar(connection, reported) == 1


@pytest.mark.prove
def test_the_button_from_failure_carries_out_what_was_approved(
    services: Services, urls: dict[str, str]
) -> None:
    blocked = services.launch("nightly_recovered")
    assert services.ended(blocked) == "FAILURE"
    with connect(urls["recovered"], "test") as connection:
        (plan,) = approvals.pending(connection)
        approvals.approve(connection, plan.id, "ada")
        from_failure = {"parentRunId": blocked, "strategy": "FROM_FAILURE"}

        launched = services.ask(REEXECUTE, parameters=from_failure)["launchRunReexecution"]

        run_id = launched["run"]["runId"]
        assert services.ended(run_id) == "SUCCESS"
        assert scalar(connection, "SELECT count(*) FROM sessions") == 30
    started = {
        event["stepKey"] for event in services.events(run_id) if event.get("eventType") == "STEP_START"
    }
    assert started == {"recovered__retention__sessions"}
    outcomes = [{tag["key"]: tag["value"] for tag in services.run(run)["tags"]} for run in (blocked, run_id)]
    assert [tags["ops/outcome"] for tags in outcomes] == ["needs_approval", "done"]
    assert [tags["ops/trigger"] for tags in outcomes] == ["ui", "ui"]


def _caught(services: Services, app: Connection, run_id: str) -> None:
    services.wait_for(lambda: scalar(app, SLEEPING) == 1, 180)
    assert services.run(run_id)["status"] == "STARTED"


def test_a_schedule_ticks_and_shows_its_next_tick(services: Services, urls: dict[str, str]) -> None:
    selector = LOCATION | {"scheduleName": "nightly_often"}

    def ticked() -> Any:
        shown = services.ask(SCHEDULE, selector=selector)["scheduleOrError"]
        return next((tick for tick in shown["scheduleState"]["ticks"] if tick["status"] == "SUCCESS"), None)

    tick = services.wait_for(ticked, 240)

    shown = services.ask(SCHEDULE, selector=selector)["scheduleOrError"]
    services.ask(STOP_SCHEDULE, id=shown["scheduleState"]["id"])
    assert shown["scheduleState"]["status"] == "RUNNING"
    assert shown["futureTicks"]["results"][0]["timestamp"] > tick["timestamp"]
    (run_id,) = tick["runIds"]
    assert services.ended(run_id) == "SUCCESS"
    with connect(urls["often"], "test") as connection:
        assert scalar(connection, "SELECT count(*) FROM sessions") == 30
    nightly = services.ask(SCHEDULE, selector=LOCATION | {"scheduleName": "nightly_app"})["scheduleOrError"]
    assert nightly["scheduleState"]["status"] == "RUNNING"


@pytest.mark.prove
def test_an_approval_in_the_launchpad_is_recorded_with_the_name_of_the_key(
    services: Services, urls: dict[str, str]
) -> None:
    with connect(urls["guarded"], "test") as connection:
        connection.execute(FILL)
        blocked = services.launch("nightly_guarded")
        assert services.ended(blocked) == "FAILURE"
        plan = scalar(connection, "SELECT id FROM ops.plans")
        with connect(urls["app"], "test") as home:
            key = keys.create(home, "ada", ["maintenance:write"]).key
        config = {"resources": {"databases": {"config": {"approve": [plan]}}}}

        services.person.headers["Authorization"] = f"Bearer {key}"
        approved = services.launch("nightly_guarded", runConfigData=config)
        del services.person.headers["Authorization"]

        assert services.ended(approved) == "SUCCESS"
        assert _tag(services, blocked, "ops/started_by") == person(), "by the link of opsctl up"
        assert _tag(services, approved, "ops/started_by") == "ada"
        assert scalar(connection, "SELECT count(*) FROM sessions") == 30
        said = "SELECT created_by FROM audit_logs WHERE action = 'plan.approved'"
        assert scalar(connection, said) == "ada"


def _tag(services: Services, run_id: str, name: str) -> str | None:
    tags = services.run(run_id)["tags"]
    return next((str(tag["value"]) for tag in tags if tag["key"] == name), None)


def test_terminate_stops_the_statement_on_the_server_and_the_queued_run_starts(
    services: Services, app: Connection
) -> None:
    first = services.launch()
    _caught(services, app, first)
    opsctl = subprocess.Popen(
        [str(PROGRAMS / "opsctl"), "run", "--database", "app"],
        cwd=services.folder, env=os.environ | services.environment, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    second = _created(opsctl)
    services.wait_for(lambda: _is_held_back(services, second), 180)
    began = time.monotonic()

    services.ask(TERMINATE, id=first)
    services.wait_for(lambda: scalar(app, SLEEPING) == 0, 30)
    seconds = time.monotonic() - began
    assert services.ended(first) == "CANCELED"
    _caught(services, app, second)
    opsctl.send_signal(signal.SIGINT)
    out, _ = opsctl.communicate(timeout=90)

    print(f"the statement had ended {seconds:.2f} s after Terminate")  # noqa: T201 - for docs/proofs.md
    assert "It waits in Dagster's queue for another run" in out
    assert (opsctl.returncode, services.run(second)["status"]) == (130, "CANCELED")
    assert _tag(services, second, "ops/started_by") == person()
    assert scalar(app, SLEEPING) == 0
    assert app.execute(OUTCOMES).fetchall() == [("interrupted",), ("interrupted",)]


def _created(opsctl: subprocess.Popen[str]) -> str:
    """The id of the run that `opsctl run` has created."""
    for line in opsctl.stdout or ():
        if created := re.match(r"Dagster run (\S+) has been created", line):
            return created[1]
    raise AssertionError(f"it ended with {opsctl.wait()}")


@pytest.mark.prove
def test_a_killed_run_is_retried_automatically(services: Services, app: Connection) -> None:
    run_id = services.launch()
    _caught(services, app, run_id)
    worker = _pid(services, run_id, "parent process")

    os.kill(worker, signal.SIGKILL)
    services.wait_for(lambda: scalar(app, SLEEPING) == 0, 120)
    app.execute("DROP TRIGGER slow ON sessions")

    assert services.ended(run_id) == "FAILURE"
    retry = services.wait_for(lambda: _retry_of(services, run_id), 180)
    assert services.ended(retry) == "SUCCESS"
    assert scalar(app, "SELECT count(*) FROM sessions") == 30
    assert app.execute(OUTCOMES).fetchall() == [("interrupted",), ("done",)]


@pytest.mark.prove
def test_a_killed_step_is_retried_within_its_run(services: Services, app: Connection) -> None:
    run_id = services.launch()
    _caught(services, app, run_id)

    os.kill(_pid(services, run_id, "app__retention__sessions"), signal.SIGKILL)
    services.wait_for(lambda: scalar(app, SLEEPING) == 0, 120)
    app.execute("DROP TRIGGER slow ON sessions")

    assert services.ended(run_id) == "SUCCESS"
    assert app.execute(OUTCOMES).fetchall() == [("interrupted",), ("done",)]


@pytest.mark.prove
def test_a_run_of_a_machine_that_is_gone_is_failed_and_retried(services: Services, app: Connection) -> None:
    """Every process is killed at once, as by a power failure; then the services are started again."""
    run_id = services.launch()
    _caught(services, app, run_id)

    services.kill_everything()
    eventually(lambda: scalar(app, SLEEPING) == 0)
    app.execute("DROP TRIGGER slow ON sessions")
    services.start_again()

    assert services.run(run_id)["status"] == "STARTED", "Dagster alone would call it that for half a day"
    assert services.ended(run_id, 400) == "FAILURE"
    retry = services.wait_for(lambda: _retry_of(services, run_id), 180)
    assert services.ended(retry) == "SUCCESS"
    assert app.execute(OUTCOMES).fetchall() == [("interrupted",), ("done",)]


@pytest.mark.prove
def test_ten_days_are_archived_by_a_backfill(services: Services, urls: dict[str, str]) -> None:
    days = [f"{today() - timedelta(days=number)}" for number in range(20, 10, -1)]
    asset = {"path": ["archived", "archive", "events_archived"]}

    launched = services.ask(BACKFILL, backfill={"assetSelection": [asset], "partitionNames": days})

    backfill = launched["launchPartitionBackfill"]["backfillId"]

    def ended() -> Any:
        shown = services.ask(BACKFILL_STATUS, id=backfill)["partitionBackfillOrError"]
        return shown if shown["status"] not in {"REQUESTED", "CANCELING"} else None

    shown = services.wait_for(ended, 300)
    assert shown["status"] == "COMPLETED_SUCCESS"
    assert [each["status"] for each in shown["runs"]] == ["SUCCESS"], "a month is one run"
    stats = services.ask(PARTITIONS, key=asset)["assetNodeOrError"]["partitionStats"]
    assert stats == {"numMaterialized": 10, "numFailed": 0}
    with connect(urls["archived"], "test") as connection:
        assert scalar(connection, "SELECT count(DISTINCT day) FROM ops.archives") >= 10
        assert scalar(connection, "SELECT count(*) FROM events WHERE at < current_date - 10") == 0


def _pid(services: Services, run_id: str, of: str) -> int:
    """The process of a run or of one of its steps, from the run's events."""

    def find() -> int | None:
        for event in services.events(run_id):
            if of in event["message"] or (
                event["stepKey"] == of and event["eventType"] == "STEP_WORKER_STARTED"
            ):
                for entry in event.get("metadataEntries", ()):
                    if entry["label"] == "pid":
                        return int(entry.get("intValue") or entry["text"])
        return None

    return services.wait_for(find, 30)


def _retry_of(services: Services, run_id: str) -> str | None:
    runs = services.ask("{runsOrError(limit: 50) {... on Runs {results {runId parentRunId}}}}")
    return next(
        (each["runId"] for each in runs["runsOrError"]["results"] if each["parentRunId"] == run_id), None
    )


def _is_held_back(services: Services, run_id: str) -> bool:
    said = (services.folder / ".local" / "log" / "dagster.log").read_text()
    return f"Run {run_id} is blocked by global concurrency limits" in said


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

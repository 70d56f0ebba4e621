"""The check `scheduler`: daemon, schedules and loaded policies, asked of Dagster's real tables."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import psycopg
import pytest
from dagster._core.scheduler.instigation import InstigatorStatus, TickStatus
from dagster_shared.error import SerializableErrorInfo

import sql
from api.health.check import OK, Finding
from api.health.maintenance import MaintenanceChecks
from api.health.scheduler import SchedulerCheck
from ops_pipeline.diagnosis.loaded_policies import CODE_LOCATION
from ops_pipeline.maintenance import kinds
from ops_pipeline.partitions.premake import premake
from ops_pipeline.pauses import pauses
from ops_pipeline.policies.file import PolicyError
from ops_pipeline.postgres import embedded
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.relation import audit_logs, find_relation
from ops_pipeline.settings import Settings
from tests.eventually import eventually
from tests.integration.api.health import serving
from tests.integration.doctor.installation import beat, dagster_instance, switch, switch_sensor, tick

POLICIES = """
version: 1
databases:
  app:
    url: ${OPS_DATABASE_URL}
    retention: [{table: sessions, column: created_at, keep: 30 days}]
"""
Ask = Callable[[], Finding]


@pytest.fixture(scope="module")
def dagster_url(server: embedded.Server) -> str:
    """A database for Dagster's tables."""
    with psycopg.connect(server.url("postgres"), autocommit=True) as session:
        session.execute("CREATE DATABASE dagster_of_scheduler")
    return server.url("dagster_of_scheduler")


@pytest.fixture(scope="module")
def instance(dagster_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    with dagster_instance(tmp_path_factory.mktemp("home"), dagster_url) as made:
        yield made


@pytest.fixture
def file(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The API's policies file."""
    monkeypatch.setenv("OPS_DATABASE_URL", url)
    file = tmp_path / "policies.yaml"
    file.write_text(POLICIES)
    return file


@pytest.fixture
def healthy(instance: dg.DagsterInstance, connection: Connection, file: Path) -> dg.DagsterInstance:
    """The daemon has just reported, the schedule is on, the code location has loaded the API's policies."""
    beat(instance, "a")
    switch(instance, InstigatorStatus.DECLARED_IN_CODE)
    tick(instance, TickStatus.SUCCESS)
    load(connection, kinds.load(file).databases[0].fingerprint)
    return instance


@pytest.fixture
def ask(url: str, dagster_url: str, file: Path, healthy: dg.DagsterInstance) -> Ask:
    del healthy
    settings = Settings(database_url=url, dagster_database_url=dagster_url, policies=file)
    check = SchedulerCheck(dagster_url, MaintenanceChecks(settings))
    return lambda: asyncio.run(check.starts())


def load(connection: Connection, fingerprint: str) -> None:
    values = {"program": CODE_LOCATION, "host": "host-of-code", "fingerprint": fingerprint}
    connection.execute(sql.get("diagnosis/record_loaded_policies"), values)


def test_a_scheduler_that_starts_every_nightly_run_is_ok(ask: Ask) -> None:
    assert ask() == OK


def test_a_silent_daemon_is_an_error(ask: Ask, healthy: dg.DagsterInstance) -> None:
    beat(healthy, "a", seconds_ago=1000)

    assert ask().message.startswith("no heartbeat from: SCHEDULER (100")


def test_a_schedule_that_is_off_is_an_error(ask: Ask, healthy: dg.DagsterInstance) -> None:
    switch(healthy, InstigatorStatus.STOPPED)

    assert ask().message == (
        "nightly_app: the schedule is off: no nightly run starts by itself. "
        "To turn it on: opsctl schedule on --database app"
    )


def test_a_sensor_that_is_off_is_an_error(ask: Ask, healthy: dg.DagsterInstance) -> None:
    switch_sensor(healthy, "ended_runs", InstigatorStatus.STOPPED)
    found = ask()
    switch_sensor(healthy, "ended_runs", InstigatorStatus.RUNNING)

    assert found.status == "error"
    assert found.message.startswith("the sensor ended_runs is off: failed runs are neither ")
    assert found.message.endswith("To turn it on: opsctl schedule on")
    assert ask() == OK


def test_a_failed_tick_is_an_error_until_a_later_one_succeeds(ask: Ask, healthy: dg.DagsterInstance) -> None:
    tick(healthy, TickStatus.FAILURE, SerializableErrorInfo("PolicyError: keep: is required\n", [], None))
    found = ask()
    tick(healthy, TickStatus.SUCCESS)

    assert found.status == "error"
    assert "failed: PolicyError: keep: is required" in found.message
    assert ask() == OK


def test_a_code_location_with_other_policies_is_an_error(ask: Ask, connection: Connection) -> None:
    load(connection, "another")

    assert ask() == Finding(
        "error",
        "app: the code location on host-of-code has loaded other policies than the API. Reload it in the "
        "Dagster UI (Deployment). If this remains, give both the same file (OPS_POLICIES)",
    )


def test_a_code_location_that_has_loaded_nothing_is_an_error(ask: Ask, connection: Connection) -> None:
    connection.execute("UPDATE ops.loaded_policies SET seen_at = now() - interval '6 minutes'")

    assert ask().message.startswith("app: no code location has loaded its policies")


def test_an_invalid_file_and_one_that_is_gone_are_errors(ask: Ask, file: Path) -> None:
    assert ask() == OK
    file.write_text(POLICIES.replace("keep", "keeep"))
    with pytest.raises(PolicyError, match="keeep"):
        ask()
    file.unlink()
    with pytest.raises(PolicyError, match="no longer exists"):
        ask()
    file.write_text(POLICIES)
    assert ask() == OK


def test_pause_and_partitions_ask_the_databases_of_the_last_valid_file(
    url: str, connection: Connection, file: Path
) -> None:
    premake(connection, find_relation(connection, audit_logs()))
    policies = MaintenanceChecks(Settings(database_url=url, policies=file))
    file.write_text(POLICIES.replace("keep", "keeep"))

    with pytest.raises(PolicyError, match="keeep"):
        asyncio.run(policies.done())
    assert asyncio.run(policies.paused()) == OK
    assert asyncio.run(policies.partitions()) == OK
    pauses.pause(connection, reason="work", by="ann")
    assert asyncio.run(policies.paused()).message.endswith("To resume: opsctl resume --database app")


def test_dagster_without_tables_or_without_a_server_is_an_error(
    server: embedded.Server, url: str, file: Path
) -> None:
    settings = Settings(database_url=url, policies=file)
    for dagster, said in (
        (server.url("postgres"), "Dagster has never run"),
        ("postgresql://nobody@127.0.0.1:1/none", "Dagster's database does not answer"),
    ):
        found = asyncio.run(SchedulerCheck(dagster, MaintenanceChecks(settings)).starts())
        assert (found.status, found.message.startswith(said)) == ("error", True)


def test_a_monitor_of_the_check_is_answered_503(
    ask: Ask, healthy: dg.DagsterInstance, url: str, dagster_url: str, file: Path
) -> None:
    switch(healthy, InstigatorStatus.STOPPED)

    with serving(url, dagster_database_url=dagster_url, policies=file) as client:
        eventually(lambda: client.get("/health/full/scheduler?verbose").status_code == 503)
        assert client.get("/health/full").status_code == 200

"""Databases for doctor to examine, and ways to run it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import dagster as dg
import psycopg
import pytest
from dagster._core.scheduler.instigation import InstigatorStatus, TickStatus
from typer.testing import CliRunner, Result

from ops_pipeline import cli
from ops_pipeline.diagnosis import code_location
from ops_pipeline.diagnosis.examine import Diagnosed, examine
from ops_pipeline.maintenance import kinds
from ops_pipeline.partitions.premake import premake
from ops_pipeline.postgres import embedded
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.relation import audit_logs, find_relation
from ops_pipeline.settings import Settings
from tests.integration.conftest import APPLICATION, POLICIES
from tests.integration.doctor.installation import Ask, beat, dagster_instance, switch, tick


@pytest.fixture
def clean(connection: Connection) -> Connection:
    """A migrated database without findings."""
    connection.execute(APPLICATION + "; CREATE INDEX ON memories (session_id)")
    premake(connection, find_relation(connection, audit_logs()))
    return connection


@pytest.fixture
def diagnose(tmp_path: Path) -> Callable[..., list[Diagnosed]]:
    """The findings in the database at that URL with those policies."""

    def found(url: str, policies: str = POLICIES, archive_url: str | None = None) -> list[Diagnosed]:
        file = tmp_path / "policies.yaml"
        file.write_text(policies)
        (database,) = kinds.load(file).databases
        return list(
            examine(database, Settings(database_url=url, policies=file, archive_url=archive_url)).findings
        )

    return found


@pytest.fixture
def opsctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs a command on the database at that URL; the code location, a process of its own, is not loaded.
    Dagster has no database yet."""
    monkeypatch.setattr(code_location, "load", lambda _: None)

    def run(url: str, *arguments: str, policies: str = POLICIES) -> Result:
        (tmp_path / "policies.yaml").write_text(policies)
        monkeypatch.setenv("OPS_POLICIES", str(tmp_path / "policies.yaml"))
        monkeypatch.setenv("OPS_DATABASE_URL", url)
        monkeypatch.setenv("OPS_DAGSTER_DATABASE_URL", f"{url}_dagster")
        return CliRunner().invoke(cli.app, list(arguments))

    return run


@pytest.fixture(scope="module")
def dagster_url(server: embedded.Server) -> str:
    """A database for Dagster's tables."""
    name = f"dagster_{uuid4().hex[:8]}"
    with psycopg.connect(server.url("postgres"), autocommit=True) as session:
        session.execute(f"CREATE DATABASE {name}")
    return server.url(name)


@pytest.fixture(scope="module")
def instance(dagster_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    with dagster_instance(tmp_path_factory.mktemp("home"), dagster_url) as made:
        yield made


@pytest.fixture
def ask(
    url: str, dagster_url: str, instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Ask:
    """An installation without a finding: a daemon has just reported, the schedule is on."""
    del instance
    file = tmp_path / "policies.yaml"
    file.write_text(POLICIES)
    monkeypatch.setenv("OPS_DATABASE_URL", url)
    given = Settings(database_url=url, dagster_database_url=dagster_url, policies=file)
    monkeypatch.setattr(code_location, "load", lambda _: None)
    return Ask(given, kinds.load(file))


@pytest.fixture
def healthy(instance: dg.DagsterInstance) -> dg.DagsterInstance:
    beat(instance, "a")
    switch(instance, InstigatorStatus.DECLARED_IN_CODE)
    tick(instance, TickStatus.SUCCESS)
    return instance

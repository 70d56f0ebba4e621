"""Databases for doctor to examine, and ways to run it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ops_pipeline import cli
from ops_pipeline.diagnosis import code_location
from ops_pipeline.diagnosis.examine import Diagnosed, examine
from ops_pipeline.maintenance import kinds
from ops_pipeline.partitions.premake import premake
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.relation import audit_logs, find_relation
from ops_pipeline.settings import Settings
from tests.integration.conftest import APPLICATION, POLICIES


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

"""A small application, and a table that is archived by day, whose policies Dagster runs in this process."""

import sys
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.definitions_load_context import DefinitionsLoadContext, DefinitionsLoadType
from dagster._core.definitions.reconstruct import ReconstructableJob

from ops_pipeline.maintenance import kinds
from ops_pipeline.maintenance.retention.policy import Retention
from ops_pipeline.orchestration import delivery
from ops_pipeline.orchestration.definitions import build_definitions
from ops_pipeline.policies.model import Policies
from ops_pipeline.postgres.connection import Connection
from tests.integration.orchestration.events import fill_events, today
from tests.integration.orchestration.receiver import Receiver, receiving

POLICIES = """
version: 1
databases:
  app:
    url: ${OPS_DATABASE_URL}
    retention: [{table: sessions, column: created_at, keep: 30 days}]
    orphans: [{table: memories, column: session_id, references: sessions.id, grace_period: 0 seconds}]
    vacuum: {tables: [sessions, memories]}
"""
FILL = """
CREATE TABLE sessions (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), created_at timestamptz);
CREATE TABLE memories (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), session_id uuid);
INSERT INTO sessions (created_at)
SELECT now() - make_interval(days => day) - interval '1 minute' FROM generate_series(0, 59) AS day;
INSERT INTO memories (session_id) SELECT id FROM sessions;
"""

WAITING = POLICIES.replace("url:", "guard: {max_fraction: 0.1}\n    url:")
CHILD = """
CREATE TABLE child (session_id uuid REFERENCES sessions);
INSERT INTO child SELECT id FROM sessions, generate_series(1, 500)
"""
"""A large table that refers to sessions without an index: retention is refused."""

ARCHIVING = """
version: 1
databases:
  app:
    url: ${OPS_DATABASE_URL}
    retention: [{table: events, column: at, keep: 10 days, partition: day, archive: true}]
    vacuum: {tables: [events]}
    guard: {max_fraction: 1.0}
"""


def expired() -> list[date]:
    """The days of `events` that have expired."""
    return [today() - timedelta(days=number) for number in range(15, 10, -1)]


Materialize = Callable[..., dg.ExecuteInProcessResult]


@pytest.fixture(autouse=True)
def _as_in_a_new_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Otherwise a run would have the definitions of an earlier test, and the processes of its steps that
    test's environment."""
    monkeypatch.delitem(sys.modules, "ops_pipeline.definitions", raising=False)
    ReconstructableJob.get_definition.cache_clear()
    ReconstructableJob.get_repository_definition.cache_clear()
    forkserver._forkserver._stop()  # type: ignore[attr-defined]  # noqa: SLF001 - which it has for tests
    with DefinitionsLoadContext.scoped(DefinitionsLoadContext(DefinitionsLoadType.INITIALIZATION)):
        yield


@pytest.fixture
def application(connection: Connection) -> Connection:
    """60 sessions, one a day, and a memory of each: 30 of them have expired."""
    connection.execute(FILL)
    return connection


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """A Dagster instance in memory."""
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def policies(tmp_path: Path) -> Policies:
    """The policies of the small application."""
    file = tmp_path / "policies.yaml"
    file.write_text(POLICIES)
    return kinds.load(file)


@pytest.fixture
def materialize(
    application: Connection,
    instance: dg.DagsterInstance,
    url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Materialize:
    """Executes the nightly run of `app` in this process."""
    monkeypatch.setenv("OPS_DATABASE_URL", url)
    file = tmp_path / "policies.yaml"

    def carry_out(
        text: str = POLICIES, *, raise_on_error: bool = True, run_config: Any = None
    ) -> dg.ExecuteInProcessResult:
        file.write_text(text)
        definitions = build_definitions(kinds.load(file))
        return definitions.resolve_job_def("nightly_app").execute_in_process(
            instance=instance, raise_on_error=raise_on_error, run_config=run_config
        )

    return carry_out


@pytest.fixture
def events(connection: Connection, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Connection:
    """Twenty events on each of the last 16 days; those of five whole days have expired."""
    monkeypatch.setenv("OPS_DATABASE_URL", url)
    monkeypatch.setenv("OPS_ARCHIVE_URL", str(tmp_path / "archive"))
    fill_events(connection, days=16)
    return connection


@pytest.fixture
def archiving(events: Connection, tmp_path: Path) -> Policies:
    """The policies that archive the events."""
    file = tmp_path / "policies.yaml"
    file.write_text(ARCHIVING)
    return kinds.load(file)


@pytest.fixture
def policy(archiving: Policies) -> Retention:
    """The policy that archives the events."""
    (retention, _) = archiving.databases[0].policies
    assert isinstance(retention, Retention)
    return retention


@pytest.fixture
def nightly_run(archiving: Policies, instance: dg.DagsterInstance) -> Materialize:
    """Executes the nightly run of the database with the events in this process."""

    def run(**how: Any) -> dg.ExecuteInProcessResult:
        job = build_definitions(archiving).resolve_job_def("nightly_app")
        return job.execute_in_process(instance=instance, **how)

    return run


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """The webhook's receiver."""
    with receiving() as made:
        monkeypatch.setenv("OPS_WEBHOOK_URL", made.url)
        monkeypatch.setattr(delivery, "FIRST_WAIT_SECONDS", 0.01)
        yield made


@pytest.fixture
def failed_run(materialize: Materialize, application: Connection) -> str:
    """The id of a run whose retention was refused."""
    application.execute(CHILD)
    return materialize(raise_on_error=False).run_id

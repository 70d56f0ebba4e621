"""A small application whose policies Dagster runs in this process."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ops_pipeline.maintenance import kinds
from ops_pipeline.orchestration.definitions import build_definitions
from ops_pipeline.policies.model import Policies
from ops_pipeline.postgres.connection import Connection

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

Materialize = Callable[..., dg.ExecuteInProcessResult]


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

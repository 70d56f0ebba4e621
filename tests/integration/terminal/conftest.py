"""A database whose retention needs approval, and the terminal's environment."""

from collections.abc import Callable

import pytest

from ops_pipeline.maintenance.kinds import carry_out
from ops_pipeline.policies.model import Database
from ops_pipeline.postgres.connection import Connection
from tests.integration.conftest import Done

GUARDED = """
version: 1
databases:
  app:
    url: ${OPS_DATABASE_URL}
    guard: {max_fraction: 0.1}
    retention: [{table: sessions, column: created_at, keep: 30 days}]
    orphans: [{table: memories, column: session_id, references: sessions.id, grace_period: 0 seconds}]
    vacuum: {tables: [sessions, memories]}
"""

OPSCTL = Callable[..., Done]


@pytest.fixture(autouse=True)
def _environment(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPS_DATABASE_URL", url)


@pytest.fixture
def guarded(application: Connection, opsctl: OPSCTL, read: Callable[..., Database]) -> Connection:
    """A database whose retention needs approval."""
    application.execute("INSERT INTO memories (session_id) SELECT id FROM sessions")
    for policy in read(GUARDED).policies:
        carry_out(application, policy)
    return application

"""A small application to look after, and policies for it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ops_pipeline import policy
from ops_pipeline.database import Connection
from ops_pipeline.maintenance.orphans.windows import Children, MarkedOrphans, MissingParents
from ops_pipeline.maintenance.windows import Sizes
from ops_pipeline.maintenance.windows.blocks import BlockRanges
from ops_pipeline.maintenance.windows.keys import KeyWindows
from ops_pipeline.maintenance.windows.slices import TimeSlices

APPLICATION = """
CREATE TABLE sessions (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  created_at timestamptz,
  note text NOT NULL DEFAULT repeat('x', 200)
);
CREATE TABLE memories (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  session_id uuid,
  content text NOT NULL DEFAULT repeat('y', 100)
);
"""
SESSIONS = """
INSERT INTO sessions (created_at)
SELECT now() - make_interval(days => day) - interval '1 minute'
FROM generate_series(%s::int, %s::int, -1) AS day, generate_series(1, %s)
"""

POLICIES = """
version: 1
databases:
  app:
    url: ${OPS_DATABASE_URL}
    retention: [{table: sessions, column: created_at, keep: 30 days}]
    orphans: [{table: memories, column: session_id, references: sessions.id, grace: 0 seconds}]
    vacuum: {tables: [sessions, memories]}
"""


@pytest.fixture
def application(connection: Connection) -> Connection:
    """Sixty days of sessions, 100 a day: 30 days and so 3,000 of them expired."""
    connection.execute(APPLICATION)
    connection.execute(SESSIONS, [59, 0, 100])
    return connection


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many batches even in a small table."""
    monkeypatch.setattr(BlockRanges, "sizes", Sizes(8, 8, 8))
    monkeypatch.setattr(KeyWindows, "sizes", Sizes(100, 100, 100))
    monkeypatch.setattr(TimeSlices, "sizes", Sizes(100, 100, 100))
    monkeypatch.setattr(Children, "sizes", Sizes(8, 8, 8))
    monkeypatch.setattr(MarkedOrphans, "sizes", Sizes(100, 100, 100))
    monkeypatch.setattr(MissingParents, "sizes", Sizes(100, 100, 100))


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., policy.Database]:
    """Reads policies for one database from text."""

    def load(text: str = POLICIES) -> policy.Database:
        file = tmp_path / "policies.yaml"
        file.write_text(text)
        (database,) = policy.load(file).databases
        return database

    return load


@pytest.fixture
def retention(read: Callable[..., policy.Database]) -> policy.Retention:
    rule = read().policies[0]
    assert isinstance(rule, policy.Retention)
    return rule


@pytest.fixture
def orphans(read: Callable[..., policy.Database]) -> policy.Orphans:
    rule = read().policies[1]
    assert isinstance(rule, policy.Orphans)
    return rule


@pytest.fixture
def vacuum(read: Callable[..., policy.Database]) -> policy.Vacuum:
    rule = read().policies[2]
    assert isinstance(rule, policy.Vacuum)
    return rule

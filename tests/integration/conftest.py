"""A small application to maintain, and policies for it."""

import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from ops_pipeline import cli
from ops_pipeline.maintenance import kinds
from ops_pipeline.maintenance.orphans.policy import Orphans
from ops_pipeline.maintenance.retention.policy import Retention
from ops_pipeline.maintenance.vacuum.policy import Vacuum
from ops_pipeline.policies.model import Database
from ops_pipeline.postgres.connection import Connection
from tests.small_batches import in_small_batches

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
    orphans: [{table: memories, column: session_id, references: sessions.id, grace_period: 0 seconds}]
    vacuum: {tables: [sessions, memories]}
"""


@pytest.fixture
def application(connection: Connection) -> Connection:
    """Sixty days of sessions, 100 a day; 30 days, or 3,000 sessions, have expired."""
    connection.execute(APPLICATION)
    connection.execute(SESSIONS, [59, 0, 100])
    return connection


@pytest.fixture
def small_batches() -> None:
    """Makes `read` return policies with small batches."""


@pytest.fixture
def read(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[..., Database]:
    """Reads policies for one database from text."""
    small = "small_batches" in request.fixturenames

    def load(text: str = POLICIES) -> Database:
        file = tmp_path / "policies.yaml"
        file.write_text(text)
        (database,) = kinds.load(file).databases
        if small:
            return replace(database, policies=tuple(map(in_small_batches, database.policies)))
        return database

    return load


@pytest.fixture
def retention(read: Callable[..., Database]) -> Retention:
    policy = read().policies[0]
    assert isinstance(policy, Retention)
    return policy


@pytest.fixture
def orphans(read: Callable[..., Database]) -> Orphans:
    policy = read().policies[1]
    assert isinstance(policy, Orphans)
    return policy


@pytest.fixture
def vacuum(read: Callable[..., Database]) -> Vacuum:
    policy = read().policies[2]
    assert isinstance(policy, Vacuum)
    return policy


@dataclass(frozen=True)
class Done:
    """The result of a command."""

    code: int
    out: str
    err: str


@pytest.fixture
def opsctl(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Done]:
    """Runs `opsctl` in this process, in a folder with the small application's policies."""
    (tmp_path / "policies.yaml").write_text(POLICIES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # the program sets one

    def run(*words: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["opsctl", *words])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return Done(int(ended.value.code or 0), said.out, said.err)

    return run

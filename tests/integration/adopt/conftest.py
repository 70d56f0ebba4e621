"""The audit log as the mission describes it, in an application's database, with data."""

from collections.abc import Callable, Iterator

import psycopg
import pytest

from ops_pipeline.partitions.adopt.adoption import MIGRATION
from ops_pipeline.postgres import embedded, locks
from ops_pipeline.postgres.connection import Connection, connect
from ops_pipeline.postgres.migrations import migrate

MISSION = """
CREATE TABLE users (id UUID PRIMARY KEY DEFAULT gen_random_uuid(), name text);
CREATE TABLE audit_logs (
  id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
  event_type VARCHAR(50) NOT NULL,
  user_id UUID REFERENCES users(id) ON DELETE SET NULL,
  resource_type VARCHAR(50),
  resource_id UUID,
  action VARCHAR(100),
  details JSONB,
  ip_address INET,
  status VARCHAR(20), -- success, failure, pending
  duration_ms INTEGER,
  created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
  created_by VARCHAR(255)
);
CREATE INDEX idx_audit_logs_user_id ON audit_logs(user_id);
CREATE INDEX idx_audit_logs_created_at ON audit_logs(created_at DESC);
CREATE INDEX idx_audit_logs_event_type ON audit_logs(event_type);
CREATE INDEX idx_audit_logs_resource ON audit_logs(resource_type, resource_id);
"""
DATA = """
INSERT INTO users (name) SELECT 'user ' || n FROM generate_series(1, 50) n;
INSERT INTO audit_logs (event_type, user_id, details, ip_address, status, created_at)
SELECT 'login', (SELECT id FROM users WHERE name = 'user ' || 1 + n % 50), jsonb_build_object('n', n),
       '192.0.2.1', 'success', now() - make_interval(mins => n * 2)
FROM generate_series(1, 3000) n
"""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "FIRST_WAIT_SECONDS", 0.01)


@pytest.fixture(scope="session")
def plain_template(server: embedded.Server) -> str:
    """An application's database with nothing of ours but what an adoption needs."""
    with psycopg.connect(server.url("postgres"), autocommit=True) as session:
        session.execute("CREATE DATABASE template_plain")
    migrate(server.url("template_plain"), only={MIGRATION})
    return "template_plain"


@pytest.fixture
def plain_url(new_database: Callable[..., str], plain_template: str) -> str:
    return new_database(plain_template)


@pytest.fixture
def plain(plain_url: str) -> Iterator[Connection]:
    with connect(plain_url, "test") as connection:
        yield connection


@pytest.fixture
def mission(plain: Connection) -> Connection:
    """The same with the mission's audit log and 3,000 events on four days."""
    plain.execute(MISSION)
    plain.execute(DATA)
    return plain

"""Tables with policies for the tests of triggers and rules."""

from collections.abc import Callable

import pytest

from ops_pipeline.maintenance import kinds
from ops_pipeline.maintenance.plan import DeletePlan
from ops_pipeline.maintenance.result import RunResult
from ops_pipeline.policies.model import Database
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.settings import Settings

Read = Callable[..., Database]

TABLES = """
CREATE TABLE visits (id int PRIMARY KEY, at timestamptz, hidden_times int NOT NULL DEFAULT 0);
INSERT INTO visits SELECT n, now() - n * interval '1 day' + interval '1 hour' FROM generate_series(1, 60) n;
CREATE TABLE days (id int, at timestamptz NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE days_2020 PARTITION OF days FOR VALUES FROM ('2020-01-01') TO ('2020-02-01');
INSERT INTO days SELECT n, '2020-01-02' FROM generate_series(1, 10) n;
CREATE FUNCTION hide() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_ARGV[0] = 'odd' THEN
    IF OLD.id % 2 = 0 THEN
      RETURN OLD;
    END IF;
  END IF;
  IF TG_TABLE_NAME = 'visits' THEN
    UPDATE visits SET hidden_times = hidden_times + 1 WHERE id = OLD.id;
  END IF;
  RETURN NULL;
END $$
"""
POLICIES = """
version: 1
databases:
  app:
    url: x
    guard: {{max_fraction: 1}}
    retention:
      - {{table: visits, column: at, keep: 30 days, archive: {archive}}}
      - {{table: days, column: at, keep: 30 days, archive: {archive}}}
    orphans:
      - {{table: memories, column: session_id, references: sessions.id, grace_period: 0 seconds,
         archive: {archive}}}
"""
SOFT_DELETE = "CREATE TRIGGER soft_delete BEFORE DELETE ON {} FOR EACH ROW EXECUTE FUNCTION hide({})"
ARCHIVED = pytest.mark.parametrize("archive", ["true", "false"], ids=["archived", "deleted"])


def run(connection: Connection, of: Database, name: str, given: Settings) -> RunResult:
    (policy,) = [policy for policy in of.policies if policy.name == name]
    return kinds.carry_out(connection, policy, settings=given)


def plan(connection: Connection, of: Database, name: str) -> DeletePlan:
    (plan,) = [plan for plan in kinds.plan(connection, of.policies) if plan.policy == name]
    assert isinstance(plan, DeletePlan)
    return plan

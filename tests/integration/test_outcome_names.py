"""Outcomes that history recorded under an earlier name are renamed by the migration."""

from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.postgres.migrations import MIGRATIONS

AS_BEFORE = """
ALTER TABLE ops.maintenance_runs
  DROP CONSTRAINT maintenance_runs_outcome_check,
  ADD CONSTRAINT maintenance_runs_outcome_check CHECK (outcome IN ('done', 'guarded'));
ALTER TABLE ops.maintenance_cursors RENAME COLUMN scan TO walk;
INSERT INTO ops.maintenance_runs (policy, outcome)
VALUES ('app/vacuum', 'done'), ('app/orphans/a.b', 'guarded');
"""
OUTCOMES = "SELECT jsonb_object_agg(policy, outcome) FROM ops.maintenance_runs"


def test_a_run_that_was_guarded_needs_approval(connection: Connection) -> None:
    connection.execute(AS_BEFORE)

    connection.execute((MIGRATIONS / "0015_needs_approval.sql").read_text())

    assert scalar(connection, OUTCOMES) == {"app/vacuum": "done", "app/orphans/a.b": "needs_approval"}

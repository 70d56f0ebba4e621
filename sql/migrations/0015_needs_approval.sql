-- The outcome needs_approval for a run whose plan must be approved, and the scan of a saved position.

ALTER TABLE ops.maintenance_runs DROP CONSTRAINT maintenance_runs_outcome_check;

UPDATE ops.maintenance_runs SET outcome = 'needs_approval' WHERE outcome = 'guarded';

ALTER TABLE ops.maintenance_runs
  ADD CONSTRAINT maintenance_runs_outcome_check
    CHECK (outcome IN ('running', 'done', 'stopped', 'needs_approval', 'interrupted', 'failed', 'skipped'));

ALTER TABLE ops.maintenance_cursors RENAME COLUMN walk TO scan;

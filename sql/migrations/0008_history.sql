-- What a run tells while it works and after: what it planned, how it went about it, what it cost.
-- depends: 0005_access

ALTER TABLE ops.maintenance_runs
  DROP CONSTRAINT maintenance_runs_outcome_check,
  ADD CONSTRAINT maintenance_runs_outcome_check
    CHECK (outcome IN ('running', 'done', 'stopped', 'guarded', 'interrupted', 'failed', 'skipped')),
  ADD COLUMN method          text,
  ADD COLUMN rows_planned    bigint,
  ADD COLUMN rows_archived   bigint           NOT NULL DEFAULT 0,
  ADD COLUMN bytes_removed   bigint           NOT NULL DEFAULT 0,
  ADD COLUMN wal_bytes       bigint           NOT NULL DEFAULT 0,
  ADD COLUMN working_seconds double precision NOT NULL DEFAULT 0,
  ADD COLUMN pauses          jsonb            NOT NULL DEFAULT '{}',
  ADD COLUMN progress_at     timestamptz;

COMMENT ON COLUMN ops.maintenance_runs.method IS 'How the rows were found, in words';
COMMENT ON COLUMN ops.maintenance_runs.rows_planned IS 'Rows that were to go when the run began';
COMMENT ON COLUMN ops.maintenance_runs.bytes_removed IS
  'Bytes of the partitions that were dropped, and about as many as the removed rows took';
COMMENT ON COLUMN ops.maintenance_runs.wal_bytes IS
  'WAL the server wrote while the run''s batches were at work, everybody''s';
COMMENT ON COLUMN ops.maintenance_runs.working_seconds IS 'Seconds in batches, pauses left out';
COMMENT ON COLUMN ops.maintenance_runs.pauses IS 'By reason: how often and for how many seconds the run paused';

-- A position is only good for the walk it comes from.
ALTER TABLE ops.maintenance_cursors ADD COLUMN walk text NOT NULL DEFAULT 'block ranges';
ALTER TABLE ops.maintenance_cursors ALTER COLUMN walk DROP DEFAULT;

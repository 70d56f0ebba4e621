-- More about a run, during and after it: its plan, method, progress and cost.

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

COMMENT ON COLUMN ops.maintenance_runs.method IS 'How the rows were found, as text';
COMMENT ON COLUMN ops.maintenance_runs.rows_planned IS 'Rows to delete, when the run began';
COMMENT ON COLUMN ops.maintenance_runs.bytes_removed IS
  'Bytes of dropped partitions, plus the approximate bytes of deleted rows';
COMMENT ON COLUMN ops.maintenance_runs.wal_bytes IS
  'WAL written by the server during the run''s batches, by all sessions';
COMMENT ON COLUMN ops.maintenance_runs.working_seconds IS 'Seconds in batches, without pauses';
COMMENT ON COLUMN ops.maintenance_runs.pauses IS 'By reason: number of pauses and their seconds';

-- A position is only valid for the scan that saved it.
ALTER TABLE ops.maintenance_cursors ADD COLUMN walk text NOT NULL DEFAULT 'block ranges';
ALTER TABLE ops.maintenance_cursors ALTER COLUMN walk DROP DEFAULT;

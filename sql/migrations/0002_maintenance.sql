-- Runs of maintenance, saved positions, and keys of the API.

CREATE TABLE ops.maintenance_runs (
  id             bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  policy         text        NOT NULL,
  started_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
  finished_at    timestamptz,
  cutoff         timestamptz,
  rows_scanned  bigint      NOT NULL DEFAULT 0,
  rows_removed   bigint      NOT NULL DEFAULT 0,
  rows_remaining      bigint,
  outcome        text        NOT NULL DEFAULT 'running'
    CHECK (outcome IN ('running', 'done', 'stopped', 'interrupted', 'failed', 'skipped')),
  stopped_reason text,
  dagster_run_id text,
  details        jsonb       NOT NULL DEFAULT '{}'
);

COMMENT ON COLUMN ops.maintenance_runs.policy IS '<database>/<kind>/<table>';
COMMENT ON COLUMN ops.maintenance_runs.rows_remaining IS 'Expired or orphaned rows that remained when the run ended';
COMMENT ON COLUMN ops.maintenance_runs.stopped_reason IS 'Why the run ended, as text';

CREATE INDEX maintenance_runs_policy ON ops.maintenance_runs (policy, started_at DESC);
CREATE INDEX maintenance_runs_dagster_run_id ON ops.maintenance_runs (dagster_run_id);

-- The position at which a scan stopped before its end. Written in the transaction of its last batch.
CREATE TABLE ops.maintenance_cursors (
  policy     text        PRIMARY KEY,
  position   jsonb       NOT NULL,
  updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE ops.api_keys (
  id         uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
  name       text        NOT NULL,
  key_hash   bytea       NOT NULL UNIQUE,
  scopes     text[]      NOT NULL,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  revoked_at timestamptz
);

COMMENT ON COLUMN ops.api_keys.key_hash IS 'SHA-256 of the key; the key itself is shown once and not stored';

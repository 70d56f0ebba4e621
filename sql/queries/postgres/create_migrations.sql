-- The migrations that were applied here.
CREATE TABLE IF NOT EXISTS ops.migrations (
  name       text        PRIMARY KEY,
  applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
)

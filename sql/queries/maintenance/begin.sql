-- Records that a policy's run starts. We have its lock, so a run that is still marked as running has died without
-- recording its end. Returns the new run's id, and for each dead run its id and how many rows it had removed.
WITH died AS (
  UPDATE ops.maintenance_runs
  SET outcome = 'interrupted', finished_at = clock_timestamp(), throttle_reason = NULL, throttled_since = NULL,
      stopped_reason = 'the process died without recording its end; the next run continued from its last batch'
  WHERE policy = %(policy)s AND outcome = 'running'
  RETURNING id, rows_removed
), begun AS (
  INSERT INTO ops.maintenance_runs (policy, dagster_run_id, table_oid)
  VALUES (%(policy)s, %(dagster_run_id)s, (
    SELECT c.oid
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = %(schema)s AND c.relname = %(table)s
  ))
  RETURNING id
)
SELECT (SELECT id FROM begun), coalesce((SELECT jsonb_object_agg(id, rows_removed) FROM died), '{}')

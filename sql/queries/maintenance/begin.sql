-- A policy's run starts. Its lock is ours, so a run still marked as running has died without a word.
-- Answers with the new run's id, and with the ids of the dead and how many rows they had removed.
WITH died AS (
  UPDATE ops.maintenance_runs
  SET outcome = 'interrupted', finished_at = clock_timestamp(),
      stopped_reason = 'the process ended without a word; the next run went on from its last batch'
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

-- Runs that are marked as running while no session holds their policy's lock have died without recording their end.
-- A run that ends meanwhile is checked again, and keeps its outcome.
UPDATE ops.maintenance_runs AS run
SET outcome = 'interrupted', finished_at = clock_timestamp(), throttle_reason = NULL, throttled_since = NULL,
    stopped_reason = 'the process died without recording its end; committed batches are kept and the next run continues'
WHERE run.outcome = 'running'
  AND NOT EXISTS (
    SELECT FROM pg_locks l
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND (l.classid::bigint << 32) | l.objid::bigint = hashtextextended('ops: ' || run.policy, 0)
  )
RETURNING run.id, run.policy

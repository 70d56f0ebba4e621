-- The newest runs as one JSON array, and how many.
SELECT coalesce(json_agg(run ORDER BY run.started_at DESC, run.id DESC), '[]')::text, count(*)
FROM (
  SELECT id, policy, started_at, finished_at, cutoff, rows_examined, rows_removed, rows_left, outcome,
         stopped_reason, dagster_run_id, details
  FROM ops.maintenance_runs
  WHERE %(policy)s::text IS NULL OR policy = %(policy)s
  ORDER BY started_at DESC, id DESC
  LIMIT %(limit)s
) AS run

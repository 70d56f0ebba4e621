-- The newest runs as one JSON array, and their number. A running one has its rate, and the estimated
-- remaining seconds.
SELECT coalesce(json_agg(run ORDER BY run.started_at DESC, run.id DESC), '[]')::text, count(*)
FROM (
  SELECT id, policy, started_at, finished_at, cutoff, rows_scanned, rows_removed, rows_remaining, outcome,
         stopped_reason, dagster_run_id, method, rows_planned, rows_archived, bytes_removed, wal_bytes,
         working_seconds, throttled, throttle_reason, throttled_since, progress_at,
         CASE WHEN working_seconds > 0 THEN round((rows_removed / working_seconds)::numeric, 1) END
           AS rows_a_second,
         CASE WHEN outcome = 'running' AND rows_removed > 0
              THEN round((greatest(rows_planned - rows_removed, 0) * working_seconds / rows_removed)::numeric, 1)
         END AS seconds_remaining,
         details
  FROM ops.maintenance_runs
  WHERE %(policy)s::text IS NULL OR policy = %(policy)s
  ORDER BY started_at DESC, id DESC
  LIMIT %(limit)s
) AS run

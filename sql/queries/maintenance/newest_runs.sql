-- The newest runs of all policies, or of one.
SELECT id, policy, outcome, coalesce(stopped_reason, '') AS stopped_reason, started_at, finished_at,
       extract(epoch FROM coalesce(finished_at, clock_timestamp()) - started_at)::float8 AS seconds,
       rows_removed AS removed, rows_archived AS archived, rows_remaining AS remaining, dagster_run_id
FROM ops.maintenance_runs
WHERE %(policy)s::text IS NULL OR policy = %(policy)s
ORDER BY started_at DESC, id DESC
LIMIT %(limit)s

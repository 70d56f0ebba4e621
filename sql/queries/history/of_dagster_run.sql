-- What each policy did in one Dagster run; the last try of each.
SELECT DISTINCT ON (policy)
       policy, outcome, stopped_reason, rows_examined, rows_removed, rows_left,
       extract(epoch FROM coalesce(finished_at, clock_timestamp()) - started_at)::float8
FROM ops.maintenance_runs
WHERE dagster_run_id = %(dagster_run_id)s
ORDER BY policy, id DESC

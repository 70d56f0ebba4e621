-- What each policy has been doing since that moment; the latest run of each.
SELECT DISTINCT ON (policy)
       policy, outcome, stopped_reason, rows_examined, rows_removed, rows_left,
       extract(epoch FROM coalesce(finished_at, clock_timestamp()) - started_at)::float8
FROM ops.maintenance_runs
WHERE started_at >= %(moment)s
ORDER BY policy, id DESC

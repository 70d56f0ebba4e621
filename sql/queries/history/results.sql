-- What each policy did since a moment, or in one Dagster run; the latest run of each.
SELECT DISTINCT ON (policy)
       policy, outcome, coalesce(stopped_reason, ''), rows_examined, rows_removed, rows_left,
       extract(epoch FROM coalesce(finished_at, clock_timestamp()) - started_at)::float8,
       (details ->> 'oldest')::timestamptz,
       coalesce((details ->> 'dead_tuples_before')::bigint, 0),
       coalesce((details ->> 'dead_tuples_after')::bigint, 0)
FROM ops.maintenance_runs
WHERE (%(dagster_run_id)s::text IS NULL OR dagster_run_id = %(dagster_run_id)s)
  AND (%(moment)s::timestamptz IS NULL OR started_at >= %(moment)s)
ORDER BY policy, id DESC

-- What each policy did since a given time, or in one Dagster run; the latest run of each.
SELECT DISTINCT ON (policy)
       policy, outcome, coalesce(stopped_reason, '') AS stopped_reason, rows_scanned AS scanned,
       rows_removed AS removed, rows_remaining AS remaining,
       extract(epoch FROM coalesce(finished_at, clock_timestamp()) - started_at)::float8 AS seconds,
       (details ->> 'oldest')::timestamptz AS oldest,
       coalesce((details ->> 'dead_tuples_before')::bigint, 0) AS dead_tuples_before,
       coalesce((details ->> 'dead_tuples_after')::bigint, 0) AS dead_tuples_after,
       id AS run_id, coalesce(method, '') AS method, rows_planned AS planned, rows_archived AS archived,
       bytes_removed AS bytes, wal_bytes, working_seconds AS working,
       coalesce((SELECT sum((waits.value ->> 'seconds')::float8) FROM jsonb_each(throttled) AS waits), 0)
         AS seconds_throttled,
       throttled, throttle_reason,
       extract(epoch FROM clock_timestamp() - throttled_since)::float8 AS throttled_for, details,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('table', c.table_schema || '.' || c.table_name,
                                                     'deleted', c.rows_deleted, 'changed', c.rows_changed)
                                  ORDER BY c.table_schema, c.table_name), '[]')
        FROM ops.cascaded_rows c WHERE c.run_id = maintenance_runs.id) AS cascaded
FROM ops.maintenance_runs
WHERE (%(id)s::bigint IS NULL OR id = %(id)s)
  AND (%(dagster_run_id)s::text IS NULL OR dagster_run_id = %(dagster_run_id)s)
  AND (%(moment)s::timestamptz IS NULL OR started_at >= %(moment)s)
ORDER BY policy, id DESC
